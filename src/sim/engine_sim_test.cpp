#include "sim/engine_sim.h"

#include <gtest/gtest.h>

namespace hearth::sim {
namespace {

// Every law and every answer; and a run that never preempts, shares or refuses proves nothing.
void expect_lawful(uint64_t first_seed, int64_t count) {
  const EngineSimSummary summary = run_engine_histories({first_seed}, count);
  EXPECT_TRUE(summary.ok()) << summary.failure;
  EXPECT_EQ(summary.histories, count);
  EXPECT_GT(summary.totals.preemptions, 1000u);
  EXPECT_GT(summary.totals.tokens_recomputed, 1000u);
  EXPECT_GT(summary.totals.steps_abandoned, 1000u);
  EXPECT_GT(summary.totals.prompt_tokens_cached, 1000u);
  EXPECT_GT(summary.totals.block_copies, 1000u);
  EXPECT_GT(summary.totals.evictions, 1000u);
  EXPECT_GT(summary.refused, 1000);
  EXPECT_GT(summary.totals.adapters.hits, 1000u);
  EXPECT_GT(summary.totals.adapters.misses, 1000u);
  EXPECT_GT(summary.totals.adapters.load_failures, 1000u);
  EXPECT_GT(summary.totals.adapters.evicted_for_room, 1000u);
  EXPECT_GT(summary.totals.adapters.evicted_by_unload, 100u);
  for (size_t i = 1; i < summary.totals.finished.size(); ++i) {
    EXPECT_GT(summary.totals.finished[i], 1000u)
        << engine::to_string(static_cast<engine::FinishReason>(i));
  }
}

TEST(EngineSim, EveryAnswerIsTheOneGivenAlone) { expect_lawful(1, 20'000); }

TEST(EngineSim, SlowEveryAnswerIsTheOneGivenAlone) { expect_lawful(1'000'000, 300'000); }

TEST(EngineSim, SameSeedSameHistory) {
  const EngineSimReport first = run_engine_history({77});
  const EngineSimReport second = run_engine_history({77});
  EXPECT_EQ(first.duration, second.duration);
  EXPECT_EQ(first.stats.step_tokens, second.stats.step_tokens);
  EXPECT_NE(first.duration, run_engine_history({78}).duration);
}

class PlantedBug : public testing::TestWithParam<Fault> {};

TEST_P(PlantedBug, IsFoundAndTheSeedIsNamed) {
  const EngineSimSummary summary = run_engine_histories({1, GetParam()}, 200);
  EXPECT_FALSE(summary.ok()) << summary.histories << " histories did not notice";
  EXPECT_NE(summary.failure.find("seed "), std::string::npos) << summary.failure;
}

INSTANTIATE_TEST_SUITE_P(EngineSim, PlantedBug, testing::ValuesIn(all_faults()),
                         [](const auto& case_info) {
                           std::string name = to_string(case_info.param);
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace hearth::sim
