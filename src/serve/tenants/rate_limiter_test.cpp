#include "serve/tenants/rate_limiter.h"

#include <gtest/gtest.h>

namespace hearth::serve {
namespace {

constexpr int64_t kDayS = 86'400;

struct Limited {
  FakeClock clock{kSecond};
  int64_t used = 0;
  RateLimiter limiter{clock, [this](const std::string&, int64_t) { return used; }};
};

TEST(RateLimiter, ABurstOfAMinuteAndThenAsTimeGoes) {
  Limited t;
  const TenantLimits limits{.requests_per_minute = 60};
  for (int i = 0; i < 60; ++i) {
    EXPECT_EQ(t.limiter.take_request("ann", limits).shortage, Shortage::kNone) << i;
  }
  const RateVerdict refused = t.limiter.take_request("ann", limits);
  EXPECT_EQ(refused.shortage, Shortage::kRequests);
  EXPECT_EQ(refused.retry_after, kSecond);
  EXPECT_EQ(refused.requests.limit, 60);
  EXPECT_EQ(refused.requests.remaining, 0);
  EXPECT_EQ(refused.requests.full_in, 60 * kSecond);
  EXPECT_EQ(t.limiter.take_request("bob", limits).shortage, Shortage::kNone);
  t.clock.advance(kSecond);
  EXPECT_EQ(t.limiter.take_request("ann", limits).shortage, Shortage::kNone);
  EXPECT_EQ(t.limiter.take_request("ann", limits).shortage, Shortage::kRequests);
}

TEST(RateLimiter, TokensAreReservedAndCorrected) {
  Limited t;
  const TenantLimits limits{.tokens_per_minute = 6000};
  EXPECT_EQ(t.limiter.reserve("ann", limits, 4000).tokens.remaining, 2000);
  EXPECT_EQ(t.limiter.reserve("ann", limits, 3000).shortage, Shortage::kTokens);
  EXPECT_EQ(t.limiter.reserve("ann", limits, 3000).retry_after, 10 * kSecond);
  t.limiter.settle("ann", limits, 4000, 500);
  EXPECT_EQ(t.limiter.reserve("ann", limits, 3000).shortage, Shortage::kNone);
}

TEST(RateLimiter, MoreThanAMinutesWorthIsLentToAFullBucket) {
  Limited t;
  const TenantLimits limits{.tokens_per_minute = 100};
  EXPECT_EQ(t.limiter.reserve("ann", limits, 1000).shortage, Shortage::kNone);
  EXPECT_EQ(t.limiter.take_request("ann", limits).shortage, Shortage::kTokens);
  t.limiter.settle("ann", limits, 1000, 1000);
  t.clock.advance(540 * kSecond);
  EXPECT_EQ(t.limiter.take_request("ann", limits).shortage, Shortage::kTokens) << "900 are owed";
  t.clock.advance(kSecond);
  EXPECT_EQ(t.limiter.take_request("ann", limits).shortage, Shortage::kNone);
}

TEST(RateLimiter, TheDayBeginsWithWhatTheBooksSay) {
  Limited t;
  t.used = 90;
  const TenantLimits limits{.tokens_per_day = 100};
  EXPECT_EQ(t.limiter.reserve("ann", limits, 20).shortage, Shortage::kNone);
  t.limiter.settle("ann", limits, 20, 20);
  const RateVerdict refused = t.limiter.take_request("ann", limits);
  EXPECT_EQ(refused.shortage, Shortage::kTokensOfTheDay);
  EXPECT_EQ(refused.retry_after, (kDayS - 1) * kSecond);
  t.used = 0;
  t.clock.advance(kDayS * kSecond);
  EXPECT_EQ(t.limiter.take_request("ann", limits).shortage, Shortage::kNone);
}

TEST(RateLimiter, ANewLimitHoldsAtOnce) {
  Limited t;
  for (int i = 0; i < 5; ++i) t.limiter.take_request("ann", {.requests_per_minute = 5});
  EXPECT_EQ(t.limiter.take_request("ann", {.requests_per_minute = 5}).shortage,
            Shortage::kRequests);
  EXPECT_EQ(t.limiter.take_request("ann", {.requests_per_minute = 7}).requests.remaining, 1);
  EXPECT_EQ(t.limiter.take_request("ann", {}).shortage, Shortage::kNone);
}

}  // namespace
}  // namespace hearth::serve
