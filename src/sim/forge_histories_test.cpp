#include "sim/forge_histories.h"

#include <gtest/gtest.h>

namespace hearth::sim {
namespace {

void expect_lawful(int64_t count) {
  for (const forge::Policy& policy : forge::policies()) {
    const ForgeHistoryReport report = run_forge_histories({.seed = 1, .policy = &policy}, count);
    EXPECT_EQ(report.failure, "");
    EXPECT_GT(report.succeeded, 0);
    EXPECT_GT(report.nodes_lost, 0);
    EXPECT_GT(report.agents_lost, 0);
    EXPECT_GT(report.restarts, 0);
    EXPECT_GT(report.deposed, 0);
  }
}

TEST(ForgeHistories, KeepTheLaws) { expect_lawful(60); }

TEST(ForgeHistories, SlowKeepTheLaws) { expect_lawful(5'000); }

TEST(ForgeHistories, TheSameSeedGivesTheSameHistory) {
  const ForgeHistoryReport a = run_forge_history({.seed = 7});
  const ForgeHistoryReport b = run_forge_history({.seed = 7});
  EXPECT_EQ(a.events, b.events);
  EXPECT_EQ(a.starts, b.starts);
}

class PlantedForgeBug : public testing::TestWithParam<ForgeFault> {};

TEST_P(PlantedForgeBug, IsFound) {
  const ForgeHistoryReport report = run_forge_histories(
      {.seed = 1, .policy = &forge::policy_named("hearth"), .fault = GetParam()}, 3'000);
  EXPECT_FALSE(report.ok()) << "no law noticed it";
}

INSTANTIATE_TEST_SUITE_P(All, PlantedForgeBug,
                         testing::Values(ForgeFault::kNoLease, ForgeFault::kForgetfulStop,
                                         ForgeFault::kEarlyFree, ForgeFault::kStaleEpoch,
                                         ForgeFault::kLostRows, ForgeFault::kWrongRegion,
                                         ForgeFault::kEarlyWord, ForgeFault::kLateLease));

}  // namespace
}  // namespace hearth::sim
