#include "forge/core/health.h"

#include <gtest/gtest.h>

namespace hearth::forge {
namespace {

const std::vector<CheckResult> kAllGood = {{"disk", true, ""}, {"memory", true, ""}};
const std::vector<CheckResult> kOneBad = {{"disk", true, ""}, {"memory", false, "a bit flipped"}};

TEST(Health, OneBadCheckIsASuspicionAndTwoAreAQuarantine) {
  NodeHealth health;
  checked(health, 0, kOneBad, false, true, {});
  EXPECT_EQ(health.state, Health::kSuspect);
  EXPECT_FALSE(health.out());
  checked(health, 1, kAllGood, false, true, {});
  EXPECT_EQ(health.state, Health::kHealthy);
  checked(health, 2, kOneBad, false, true, {});
  checked(health, 3, kOneBad, false, true, {});
  EXPECT_EQ(health.state, Health::kQuarantined);
  EXPECT_EQ(health.why, "memory: a bit flipped");
  EXPECT_NEAR(lemon_score(health, 3, {}), 1, 1e-9);
}

TEST(Health, ItComesBackEmptyAndProven) {
  NodeHealth health{.state = Health::kQuarantined, .strikes = 2};
  checked(health, 0, kAllGood, false, true, {});
  EXPECT_EQ(health.state, Health::kQuarantined) << "jobs are still there";
  for (int i = 0; i < 2; ++i) checked(health, i, kAllGood, true, true, {});
  EXPECT_EQ(health.state, Health::kValidating);
  checked(health, 2, kAllGood, true, true, {});
  EXPECT_EQ(health.state, Health::kHealthy);
}

TEST(Health, WhoKeepsFailingIsForAPerson) {
  NodeHealth health{.state = Health::kQuarantined};
  for (int i = 0; i < 3; ++i) checked(health, i, kOneBad, true, true, {});
  EXPECT_EQ(health.state, Health::kRepair);
  for (int i = 0; i < 9; ++i) checked(health, i, kAllGood, true, true, {});
  EXPECT_EQ(health.state, Health::kRepair);
  seen_to(health);
  for (int i = 0; i < 3; ++i) checked(health, i, kAllGood, true, true, {});
  EXPECT_EQ(health.state, Health::kHealthy);
}

TEST(Health, TheCapKeepsASuspectIn) {
  NodeHealth health;
  for (int i = 0; i < 5; ++i) checked(health, i, kOneBad, false, false, {});
  EXPECT_EQ(health.state, Health::kSuspect);
  checked(health, 6, kOneBad, false, true, {});
  EXPECT_EQ(health.state, Health::kQuarantined);
}

TEST(Health, TroubleFades) {
  NodeHealth health;
  trouble(health, 0, {});
  trouble(health, 0, {});
  EXPECT_NEAR(lemon_score(health, HealthTerms{}.lemon_half_life, {}), 1, 1e-9);
}

}  // namespace
}  // namespace hearth::forge
