#include "sim/fair_histories.h"

#include <algorithm>
#include <gtest/gtest.h>

namespace hearth::sim {
namespace {

void expect_fair(uint64_t seed, int64_t count) {
  const FairReport report = run_fair_histories(seed, count);
  EXPECT_TRUE(report.ok()) << report.failure;
  EXPECT_EQ(report.histories, count);
  EXPECT_GT(report.stretches, 5 * count);
  EXPECT_GT(report.closest, 0.2) << "a bound that nobody comes near proves little";
}

TEST(FairHistories, TwoTenantsNeverDifferByMoreThanTheBound) { expect_fair(1, 3'000); }

TEST(FairHistories, SlowTwoTenantsNeverDifferByMoreThanTheBound) { expect_fair(1'000'000, 60'000); }

class FairFaults : public testing::TestWithParam<FairFault> {};

TEST_P(FairFaults, AreFoundAndTheSeedIsNamed) {
  const FairReport report = run_fair_histories(1, 200, GetParam());
  EXPECT_FALSE(report.ok()) << report.histories << " histories did not notice";
  EXPECT_NE(report.failure.find("seed "), std::string::npos) << report.failure;
}

INSTANTIATE_TEST_SUITE_P(FairHistories, FairFaults, testing::ValuesIn(all_fair_faults()),
                         [](const auto& case_info) {
                           std::string name = to_string(case_info.param);
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace hearth::sim
