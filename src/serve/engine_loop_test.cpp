#include "serve/engine_loop.h"

#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace hearth::serve {
namespace {

// Notes what is held, posted and released, and runs nothing.
struct NotingExecutor final : Executor {
  void post(Task) override { notes += 'p'; }
  void hold() override { notes += '('; }
  void release() override { notes += ')'; }
  std::string notes;
};

struct PostingSink final : EngineSink {
  explicit PostingSink(Executor& to) : executor(to) {}
  void on_admission(engine::Admission admission) override { EXPECT_TRUE(admission.accepted()); }
  void on_news(News) override { executor.post({}); }
  Executor& executor;
};

// Lets somebody come in the middle of a step of idle work.
class Interrupted final : public engine::Runner {
 public:
  engine::StepResult run(const engine::StepPlan& plan) override {
    engine::StepResult result;
    for (const engine::StepSequence& sequence : plan.sequences) {
      ran.push_back(sequence.request);
      engine::SequenceResult& one = result.sequences.emplace_back();
      if (sequence.want == engine::Want::kToken) one.sampled.push_back({.token = 1});
    }
    return result;
  }
  engine::StepResult run_idle(const engine::StepPlan& plan,
                              const std::function<bool()>& stop) override {
    EXPECT_FALSE(stop()) << "nobody is there yet";
    if (auto come = std::exchange(comes, nullptr)) come();
    if (!stop()) return run(plan);
    return {.sequences = {}, .abandoned = true};
  }

  std::function<void()> comes;
  std::vector<engine::RequestId> ran;
};

class EngineLoopTest : public testing::Test {
 protected:
  engine::RequestId submit(engine::ServiceClass service_class) {
    Submission submission;
    submission.request.id = loop_.next_id();
    submission.request.prompt = {1, 2, 3};
    submission.request.max_tokens = 1;
    submission.request.service_class = service_class;
    submission.sink = std::make_shared<PostingSink>(executor_);
    const engine::RequestId id = submission.request.id;
    EXPECT_TRUE(loop_.submit(std::move(submission)).accepted());
    return id;
  }

  FakeClock clock_{kSecond};
  Metrics metrics_{"fake"};
  Interrupted runner_;
  NotingExecutor executor_;
  EngineLoop loop_{{}, runner_, clock_, metrics_, executor_};
};

TEST_F(EngineLoopTest, WhoComesDoesNotWaitForAStepOfBatchWork) {
  const engine::RequestId batch = submit(engine::ServiceClass::kBatch);
  engine::RequestId online = 0;
  runner_.comes = [&] { online = submit(engine::ServiceClass::kStandard); };
  while (loop_.turn()) {
  }
  EXPECT_EQ(runner_.ran, (std::vector{online, batch}));
  EXPECT_EQ(loop_.stats().steps_abandoned, 1u);
  EXPECT_TRUE(loop_.healthy());
}

TEST_F(EngineLoopTest, MoreBatchWorkInterruptsNothing) {
  const engine::RequestId first = submit(engine::ServiceClass::kBatch);
  engine::RequestId second = 0;
  runner_.comes = [&] { second = submit(engine::ServiceClass::kBatch); };
  while (loop_.turn()) {
  }
  EXPECT_EQ(runner_.ran, (std::vector{first, second}));
  EXPECT_EQ(loop_.stats().steps_abandoned, 0u);
}

TEST_F(EngineLoopTest, TheNewsOfAStepBeginTogether) {
  for (int i = 0; i < 3; ++i) submit(engine::ServiceClass::kStandard);
  while (loop_.turn()) {
  }
  EXPECT_EQ(executor_.notes, "(ppp)") << "one step, three who hear of it";
}

}  // namespace
}  // namespace hearth::serve
