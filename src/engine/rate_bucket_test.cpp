#include "engine/rate_bucket.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace hearth::engine {
namespace {

constexpr Cost kRate = 60'000;  // a minute: 1000 a second

TEST(RateBucket, TakesWorkWhileItIsBelowFull) {
  RateBucket bucket(kRate, 10 * kSecond, 0);
  EXPECT_EQ(bucket.wait(0), 0);
  EXPECT_EQ(bucket.size(), 10'000);
  bucket.add(9'999, 0);
  EXPECT_EQ(bucket.wait(0), 0) << "whatever its size, as long as it is not full";
  bucket.add(5'000, 0);
  EXPECT_EQ(bucket.utilization_permille(0), 1499);
  EXPECT_EQ(bucket.room(0), 0);
  EXPECT_NEAR(static_cast<double>(bucket.wait(0)), 4.999 * kSecond, 10);
}

TEST(RateBucket, AfterTheWaitThereIsRoom) {
  RateBucket bucket(777, kSecond, 5);
  bucket.add(123'456'789, 5);
  const Nanos wait = bucket.wait(5);
  EXPECT_GT(bucket.wait(5 + wait - 2), 0);
  EXPECT_EQ(bucket.wait(5 + wait), 0);
}

TEST(RateBucket, AWrongEstimateIsCorrectedEitherWay) {
  RateBucket bucket(kRate, 10 * kSecond, 0);
  bucket.add(8'000, 0);
  bucket.correct(8'000, 2'000, 0);
  EXPECT_EQ(bucket.room(0), 8'000);
  bucket.correct(2'000, 12'000, 0);
  EXPECT_GT(bucket.wait(0), 0);
}

TEST(RateBucket, ANewRateCountsFromNowOn) {
  RateBucket bucket(kRate, 10 * kSecond, 0);
  bucket.add(20'000, 0);
  bucket.set_rate(2 * kRate, 5 * kSecond);
  EXPECT_EQ(bucket.utilization_permille(5 * kSecond), 750);
  EXPECT_EQ(bucket.wait(5 * kSecond), 0);
}

// In the long run what is accepted is what was bought, to the size of a bucket and a request.
TEST(RateBucket, AcceptsWhatWasBoughtWhateverIsAsked) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    const Cost rate = random.between(1, 1'000'000'000);
    RateBucket bucket(rate, random.between(1, 60) * kSecond, 0);
    const Cost largest = rate / 20 + 2;
    Cost accepted = 0;
    Nanos now = 0;
    while (now < 3600 * kSecond) {
      now += random.between(0, 2 * kSecond) + bucket.wait(now);
      const Cost actual = random.between(1, largest);
      const Cost estimated = random.between(1, largest);
      bucket.add(estimated, now);
      bucket.correct(estimated, actual, now);
      accepted += actual;
    }
    const double bought = static_cast<double>(rate) * static_cast<double>(now) / (60.0 * kSecond);
    const double slack = static_cast<double>(bucket.size() + 2 * largest);
    EXPECT_LE(static_cast<double>(accepted), bought + slack) << "seed " << seed;
  }
}

}  // namespace
}  // namespace hearth::engine
