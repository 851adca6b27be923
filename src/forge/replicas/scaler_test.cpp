#include "forge/replicas/scaler.h"

#include <gtest/gtest.h>

namespace hearth::forge {
namespace {

constexpr ScalerTerms kScalerTerms{.min_replicas = 1,
                                   .max_replicas = 6,
                                   .waiting_each = 1,
                                   .requests_each = 4,
                                   .up_after_ms = 2'000,
                                   .down_after_ms = 10'000};

TEST(Scaler, AQueueThatStaysCallsForMore) {
  Scaler scaler(kScalerTerms);
  const DeploymentLoad load{.replicas = 1, .ready = 1, .running = 4, .waiting = 3};
  EXPECT_EQ(scaler.wanted(0, load), 1);
  EXPECT_EQ(scaler.wanted(1'000, load), 1);
  EXPECT_EQ(scaler.wanted(2'000, load), 2);
}

TEST(Scaler, AShortQueueDoesNot) {
  Scaler scaler(kScalerTerms);
  EXPECT_EQ(scaler.wanted(0, {1, 1, 4, 3, 0}), 1);
  EXPECT_EQ(scaler.wanted(1'000, {1, 1, 4, 0, 0}), 1);
  EXPECT_EQ(scaler.wanted(2'000, {1, 1, 4, 3, 0}), 1);
}

TEST(Scaler, NobodyIsCalledWhileOneIsOnItsWay) {
  Scaler scaler(kScalerTerms);
  for (Millis now = 0; now < 60'000; now += 1'000)
    EXPECT_EQ(scaler.wanted(now, {2, 1, 4, 9, 0}), 2);
}

TEST(Scaler, ALongQueueCallsForAtMostTwiceAsMany) {
  Scaler scaler(kScalerTerms);
  scaler.wanted(0, {2, 2, 8, 90, 0});
  EXPECT_EQ(scaler.wanted(2'000, {2, 2, 8, 90, 0}), 4);
  scaler.wanted(3'000, {4, 4, 16, 90, 0});
  EXPECT_EQ(scaler.wanted(6'000, {4, 4, 16, 90, 0}), 6);
}

TEST(Scaler, WhenOneLessWouldDoForAWhileOneGoes) {
  Scaler scaler(kScalerTerms);
  const DeploymentLoad calm{.replicas = 3, .ready = 3, .running = 2};
  EXPECT_EQ(scaler.wanted(0, calm), 3);
  EXPECT_EQ(scaler.wanted(9'000, calm), 3);
  EXPECT_EQ(scaler.wanted(10'000, calm), 2);
  EXPECT_EQ(scaler.wanted(11'000, {2, 2, 2, 0, 0}), 2);  // and the next only after as long again
}

TEST(Scaler, PromisedThroughputIsNeverScaledAway) {
  ScalerTerms terms = kScalerTerms;
  terms.ptu = 250;
  Scaler scaler(terms);
  const DeploymentLoad idle{.replicas = 1, .ready = 1, .ptu_each = 100};
  EXPECT_EQ(scaler.wanted(0, idle), 3);
  for (Millis now = 0; now < 60'000; now += 1'000)
    EXPECT_EQ(scaler.wanted(now, {3, 3, 0, 0, 100}), 3);
}

TEST(Scaler, TheLimitsHold) {
  Scaler scaler(kScalerTerms);
  EXPECT_EQ(scaler.wanted(0, {0, 0, 0, 0, 0}), 1);
  EXPECT_EQ(scaler.wanted(1'000, {9, 9, 36, 90, 0}), 6);
}

}  // namespace
}  // namespace hearth::forge
