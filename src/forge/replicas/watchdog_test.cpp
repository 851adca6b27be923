#include "forge/replicas/watchdog.h"

#include <gtest/gtest.h>

namespace hearth::forge {
namespace {

constexpr WatchdogTerms kWatchdogTerms{.silent_ms = 10'000, .start_ms = 100'000};

JobId hung_one(Watchdog& dog, Millis now, const std::vector<Watched>& seen) {
  const std::optional<Watched> hung = dog.hung(now, seen);
  return hung ? hung->job : -1;
}

TEST(Watchdog, WhoWasReadyAndIsSilentForLongIsRestarted) {
  Watchdog dog(kWatchdogTerms);
  EXPECT_EQ(hung_one(dog, 0, {{1, 1, true}, {2, 1, true}}), -1);
  EXPECT_EQ(hung_one(dog, 9'000, {{1, 1, false}, {2, 1, true}}), -1);
  EXPECT_EQ(hung_one(dog, 10'000, {{1, 1, false}, {2, 1, true}}), 1);
}

TEST(Watchdog, OneAnswerInTimeIsEnough) {
  Watchdog dog(kWatchdogTerms);
  EXPECT_EQ(hung_one(dog, 0, {{1, 1, true}}), -1);
  EXPECT_EQ(hung_one(dog, 9'000, {{1, 1, true}}), -1);
  EXPECT_EQ(hung_one(dog, 18'000, {{1, 1, false}}), -1);
  EXPECT_EQ(hung_one(dog, 19'000, {{1, 1, false}}), 1);
}

TEST(Watchdog, WhoIsStartingHasMoreTime) {
  Watchdog dog(kWatchdogTerms);
  EXPECT_EQ(hung_one(dog, 0, {{1, 1, false}}), -1);
  EXPECT_EQ(hung_one(dog, 99'000, {{1, 1, false}}), -1);
  EXPECT_EQ(hung_one(dog, 100'000, {{1, 1, false}}), 1);
}

TEST(Watchdog, ANewRunBeginsAnew) {
  Watchdog dog(kWatchdogTerms);
  EXPECT_EQ(hung_one(dog, 0, {{1, 1, true}}), -1);
  EXPECT_EQ(hung_one(dog, 20'000, {{1, 2, false}}), -1);
  EXPECT_EQ(hung_one(dog, 119'000, {{1, 2, false}}), -1);
  EXPECT_EQ(hung_one(dog, 120'000, {{1, 2, false}}), 1);
}

TEST(Watchdog, NoSecondOneBeforeTheFirstIsBack) {
  Watchdog dog(kWatchdogTerms);
  EXPECT_EQ(hung_one(dog, 0, {{1, 1, true}, {2, 1, true}}), -1);
  EXPECT_EQ(hung_one(dog, 10'000, {{1, 1, false}, {2, 1, true}}), 1);
  EXPECT_EQ(hung_one(dog, 30'000, {{1, 2, false}, {2, 1, false}}), -1);
  EXPECT_EQ(hung_one(dog, 31'000, {{1, 2, true}, {2, 1, false}}), 2);
  // Where the first does not come back, the others are not given up for it.
  EXPECT_EQ(hung_one(dog, 131'000, {{1, 2, false}, {2, 2, false}}), 1);
}

TEST(Watchdog, ItMayBeToldToLeaveThemAlone) {
  Watchdog dog({.silent_ms = 0, .start_ms = 1});
  EXPECT_EQ(hung_one(dog, 0, {{1, 1, true}}), -1);
  EXPECT_EQ(hung_one(dog, 1'000'000, {{1, 1, false}}), -1);
}

}  // namespace
}  // namespace hearth::forge
