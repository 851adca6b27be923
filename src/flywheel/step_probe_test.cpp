#include "flywheel/step_probe.h"

#include <algorithm>
#include <gtest/gtest.h>

#include "base/error.h"

namespace hearth::flywheel {
namespace {

constexpr engine::CostModel kTrueCosts{.step_ps = 2'000'000'000,
                                       .prompt_token_ps = 100'000'000,
                                       .prompt_context_ps = 30'000,
                                       .sequence_ps = 300'000'000,
                                       .context_ps = 1'000'000,
                                       .adapter_ps = 80'000'000,
                                       .adapter_row_ps = 9'000'000};

// Takes what the plan itself says that it holds, counted anew.
class CountingRunner final : public engine::Runner {
 public:
  explicit CountingRunner(FakeClock& clock) : clock_(clock) {}
  engine::StepResult run(const engine::StepPlan& plan) override {
    engine::StepWork seen;
    std::vector<engine::BlockId> used;
    int32_t rows = 0;
    for (const engine::StepSequence& step : plan.sequences) {
      rows += step.count;
      EXPECT_LE(step.computed + step.count, std::ssize(step.tokens));
      EXPECT_GE(std::ssize(step.blocks) * engine::kBlockTokens, step.computed + step.count);
      used.insert(used.end(), step.blocks.begin(), step.blocks.end());
      if (step.count == 1 && step.computed > 0) {
        ++seen.generating;
        seen.generating_context += step.computed;
      } else {
        seen.prompt_tokens += step.count;
        seen.prompt_context += engine::context_of(step.computed, step.count);
      }
    }
    std::sort(used.begin(), used.end());
    EXPECT_EQ(std::adjacent_find(used.begin(), used.end()), used.end()) << "a block is used twice";
    EXPECT_EQ(rows, plan.tokens);
    seen.adapters = plan.work.adapters;
    seen.adapter_rows = plan.work.adapter_rows;
    clock_.advance(kTrueCosts.time(seen));
    return {};
  }

 private:
  FakeClock& clock_;
};

engine::EngineConfig limits() {
  engine::EngineConfig config;
  config.num_blocks = 2000;
  config.max_model_len = 1500;
  config.max_num_seqs = 32;
  config.max_num_batched_tokens = 600;
  config.step_time_target = 60 * kMillisecond;
  config.vocabulary = 100;
  return config;
}

TEST(StepProbe, ItsStepsTellTheCosts) {
  FakeClock clock;
  CountingRunner runner(clock);
  const engine::EngineConfig config = limits();
  StepProbe probe(runner, config, clock);
  const auto samples = probe.measure({.time = 600 * kSecond, .adapters = {1, 2, 3, 4}});
  EXPECT_EQ(samples.size(), 96u);
  for (const StepSample& sample : samples) EXPECT_LE(sample.duration, 90 * kMillisecond);
  const ProbeResult result = fit_and_check(samples);
  EXPECT_LT(result.held_out.largest, 0.001);
  EXPECT_NEAR(static_cast<double>(result.costs.prompt_token_ps), 1e8, 1e6);
  EXPECT_NEAR(static_cast<double>(result.costs.sequence_ps), 3e8, 3e6);
}

TEST(StepProbe, TheSameSeedAsksForTheSameSteps) {
  const auto durations = [] {
    FakeClock clock;
    CountingRunner runner(clock);
    const engine::EngineConfig config = limits();
    StepProbe probe(runner, config, clock);
    std::vector<Nanos> all;
    for (const StepSample& sample : probe.measure({.time = kSecond, .shapes = 40})) {
      all.push_back(sample.duration);
    }
    return all;
  };
  EXPECT_EQ(durations(), durations());
}

TEST(StepProbe, RefusesAStepThatDoesNotFit) {
  FakeClock clock;
  CountingRunner runner(clock);
  const engine::EngineConfig config = limits();
  StepProbe probe(runner, config, clock);
  EXPECT_THROW(probe.run({.generating = 33, .context = 10}, {}), Error);
  EXPECT_THROW(probe.run({.prompt_tokens = 601}, {}), Error);
}

}  // namespace
}  // namespace hearth::flywheel
