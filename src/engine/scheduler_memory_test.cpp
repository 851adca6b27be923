// Who gets blocks and slots when there are too few: admission, preemption, priorities.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/scheduler_test_support.h"

namespace hearth::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

TEST(Preemption, TakesFromTheLastAndGivesTheSameNumberOfTokens) {
  EngineConfig config = small_config();
  config.num_blocks = 4;
  Engine engine(config);
  engine.add(make_request(1, 16, 40));
  engine.add(make_request(2, 16, 40));
  std::vector<int32_t> tokens(3);
  bool resumed = false;
  while (engine.scheduler.busy()) {
    const StepPlan& plan = engine.plan();
    for (const StepSequence& step : plan.sequences) {
      EXPECT_EQ(step.prompt_tokens, 16) << "what was generated stays output";
      resumed |= step.fresh && step.tokens.size() > 16;
    }
    for (const Output& output : engine.commit(Engine::answer(plan))) {
      tokens[output.request] += static_cast<int32_t>(output.tokens.size());
      EXPECT_EQ(output.usage.output_tokens, tokens[output.request]);
      if (output.request == 1) {
        EXPECT_EQ(output.timing.preemptions, 0) << "the first in rank";
      }
    }
  }
  EXPECT_TRUE(resumed);
  EXPECT_THAT(tokens, ElementsAre(0, 40, 40));
  EXPECT_GT(engine.scheduler.stats().preemptions, 0u);
}

TEST(Preemption, TellsPromptLogprobsOnce) {
  EngineConfig config = small_config();
  config.num_blocks = 12;
  config.max_num_batched_tokens = 32;
  Engine engine(config);
  engine.add(make_request(1, 16, 60));
  engine.step();
  Request scored = make_request(2, 100, 60);
  scored.sampling.prompt_logprobs = 0;
  scored.max_tokens = 70;
  engine.add(std::move(scored));
  int32_t told = 0;
  while (engine.scheduler.busy()) {
    for (const Output& output : engine.step()) {
      if (!output.prompt.empty()) {
        EXPECT_EQ(output.prompt_begin, told + 1);
      }
      told += static_cast<int32_t>(output.prompt.size());
    }
  }
  EXPECT_EQ(told, 99);
}

TEST(Admission, LeavesTheWatermarkToThoseWhoRun) {
  EngineConfig config = small_config();
  config.num_blocks = 10;
  config.watermark_permille = 300;
  Engine engine(config);
  engine.add(make_request(1, 64, 20));
  engine.add(make_request(2, 64, 20));
  EXPECT_THAT(counts(engine.plan()), ElementsAre(Pair(1, 64))) << "4 + 4 + 3 > 10";
}

TEST(Admission, RefusesWhenTooMuchWaits) {
  EngineConfig config = small_config();
  config.max_queued_requests = 2;
  config.max_queued_tokens = 100;
  Engine engine(config);
  EXPECT_TRUE(engine.add(make_request(1, 300, 1)).accepted()) << "an empty queue takes anything";
  const Admission tokens = engine.add(make_request(2, 10, 1));
  EXPECT_EQ(tokens.code, AdmissionCode::kQueueFull);
  EXPECT_THAT(tokens.reason, HasSubstr("max_queued_tokens = 100"));
  engine.step();
  EXPECT_TRUE(engine.add(make_request(3, 10, 1)).accepted());
  EXPECT_TRUE(engine.add(make_request(4, 10, 1)).accepted());
  const Admission requests = engine.add(make_request(5, 10, 1));
  EXPECT_EQ(requests.code, AdmissionCode::kQueueFull);
  EXPECT_THAT(requests.reason, HasSubstr("max_queued_requests = 2"));
  EXPECT_EQ(engine.scheduler.stats().admissions[1], 2u);
  engine.scheduler.cancel(4);
  EXPECT_TRUE(engine.add(make_request(6, 10, 1)).accepted());
  engine.drain();
}

TEST(Admission, RefusesWhatNeverFits) {
  Engine engine(small_config());
  EXPECT_EQ(engine.add(make_request(1, 601, 1)).code, AdmissionCode::kTooLong);
  EXPECT_EQ(engine.add(make_request(1, 0, 1)).code, AdmissionCode::kInvalid);
  EXPECT_FALSE(engine.scheduler.busy());
}

TEST(Priority, UrgentOnesAreAdmittedFirst) {
  EngineConfig config = small_config();
  config.max_num_seqs = 1;
  Engine engine(config);
  engine.add(make_request(1, 4, 1));
  Request urgent = make_request(2, 4, 1);
  urgent.priority = -1;
  engine.add(std::move(urgent));
  EXPECT_EQ(engine.step()[0].request, 2u);
  EXPECT_EQ(engine.step()[0].request, 1u);
}

TEST(Priority, UrgentOnesTakeTheSlotOfTheLeastUrgent) {
  EngineConfig config = small_config();
  config.max_num_seqs = 2;
  Engine engine(config);
  engine.add(make_request(1, 4, 50));
  engine.add(make_request(2, 4, 50));
  engine.step();
  Request urgent = make_request(3, 4, 2);
  urgent.priority = -1;
  engine.add(std::move(urgent));
  EXPECT_THAT(counts(engine.plan()), UnorderedElementsAre(Pair(3, 4), Pair(1, 1)));
  engine.commit();
  engine.step();
  const StepPlan& plan = engine.plan();
  EXPECT_THAT(counts(plan), UnorderedElementsAre(Pair(1, 1), Pair(2, 5)));
  EXPECT_TRUE(plan.sequences[1].fresh);
}

TEST(Priority, NobodyIsPreemptedInVain) {
  EngineConfig config = small_config();
  config.num_blocks = 10;
  Engine engine(config);
  Request first = make_request(1, 100, 50);
  first.priority = -1;
  engine.add(std::move(first));
  engine.add(make_request(2, 16, 5));
  engine.step();
  Request urgent = make_request(3, 100, 2);
  urgent.priority = -1;
  engine.add(std::move(urgent));
  engine.step();
  EXPECT_EQ(engine.scheduler.stats().preemptions, 0u) << "the block of request 2 is not enough";
}

TEST(Priority, AWaitMakesUpForIt) {
  EngineConfig config = small_config();
  config.max_num_seqs = 1;
  config.priority_aging = kSecond;
  Engine engine(config);
  engine.add(make_request(1, 4, 1));
  engine.now += 2 * kSecond;
  Request urgent = make_request(2, 4, 1);
  urgent.priority = -1;
  engine.add(std::move(urgent));
  EXPECT_EQ(engine.step()[0].request, 1u);
}

}  // namespace
}  // namespace hearth::engine
