#include "sim/engine_sim.h"

#include <gtest/gtest.h>
#include <iostream>

namespace hearth::sim {
namespace {

// Runs histories of `fault` from `seed` on until one fails; -1: none of `count` did.
int64_t histories_until_found(Fault fault, uint64_t seed, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    if (!run_engine_history({seed + static_cast<uint64_t>(i), fault}).ok()) return i + 1;
  }
  return -1;
}

struct Totals {
  uint64_t preemptions = 0;
  uint64_t cached = 0;
  uint64_t copies = 0;
  uint64_t evictions = 0;
  uint64_t refused = 0;
  uint64_t steps = 0;
  uint64_t recomputed = 0;
  std::array<uint64_t, 5> finished{};
};

Totals run_clean(uint64_t first_seed, int64_t count) {
  Totals totals;
  for (int64_t i = 0; i < count; ++i) {
    const EngineSimReport report = run_engine_history({first_seed + static_cast<uint64_t>(i)});
    EXPECT_TRUE(report.ok()) << report.failure;
    if (!report.ok()) break;
    totals.preemptions += report.stats.preemptions;
    totals.cached += report.stats.prompt_tokens_cached;
    totals.copies += report.stats.block_copies;
    totals.evictions += report.stats.evictions;
    totals.refused += static_cast<uint64_t>(report.refused);
    totals.steps += report.stats.steps;
    totals.recomputed += report.stats.tokens_recomputed;
    for (size_t k = 0; k < totals.finished.size(); ++k) {
      totals.finished[k] += report.stats.finished[k];
    }
  }
  return totals;
}

// A harness that never preempts, shares or refuses proves nothing.
void expect_everything_happened(const Totals& totals) {
  EXPECT_GT(totals.preemptions, 100u);
  EXPECT_GT(totals.cached, 1000u);
  EXPECT_GT(totals.copies, 100u);
  EXPECT_GT(totals.evictions, 100u);
  EXPECT_GT(totals.refused, 100u);
  EXPECT_GT(totals.recomputed, 1000u);
  for (size_t k = 1; k < totals.finished.size(); ++k) EXPECT_GT(totals.finished[k], 100u) << k;
}

TEST(EngineSim, EveryAnswerIsTheOneGivenAlone) {
  const Totals totals = run_clean(1, 20'000);
  expect_everything_happened(totals);
}

TEST(EngineSim, SlowEveryAnswerIsTheOneGivenAlone) {
  expect_everything_happened(run_clean(1'000'000, 300'000));
}

TEST(EngineSim, SameSeedSameHistory) {
  const EngineSimReport first = run_engine_history({77});
  const EngineSimReport second = run_engine_history({77});
  EXPECT_EQ(first.duration, second.duration);
  EXPECT_EQ(first.stats.step_tokens, second.stats.step_tokens);
}

TEST(EngineSim, FindsPlantedBugs) {
  for (const Fault fault : all_faults()) {
    const int64_t found = histories_until_found(fault, 1, 2000);
    EXPECT_GT(found, 0) << to_string(fault) << " was not found";
    std::cout << to_string(fault) << " found after " << found << " histories\n";
  }
}

}  // namespace
}  // namespace hearth::sim
