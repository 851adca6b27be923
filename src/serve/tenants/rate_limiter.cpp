#include "serve/tenants/rate_limiter.h"

#include <algorithm>
#include <cmath>

namespace hearth::serve {
namespace {

constexpr int64_t kDayS = 86'400;
constexpr double kMinute = 60.0 * static_cast<double>(kSecond);

}  // namespace

void RateLimiter::Bucket::fill(int64_t per_minute, Nanos now) {
  if (limit != per_minute) {
    // A new limit holds at once: what was taken stays taken.
    level = limit == 0 ? static_cast<double>(per_minute)
                       : level + static_cast<double>(per_minute - limit);
    limit = per_minute;
    filled = now;
  }
  const double rate = static_cast<double>(limit) / kMinute;
  level = std::min(static_cast<double>(limit), level + rate * static_cast<double>(now - filled));
  filled = now;
}

Nanos RateLimiter::Bucket::until(double wanted) const {
  const double goal = std::min(wanted, static_cast<double>(limit));
  if (limit == 0 || level >= goal) return 0;
  return static_cast<Nanos>(std::ceil((goal - level) * kMinute / static_cast<double>(limit)));
}

Allowance RateLimiter::Bucket::allowance() const {
  return {limit, std::max<int64_t>(0, static_cast<int64_t>(level)),
          until(static_cast<double>(limit))};
}

RateLimiter::Tenant& RateLimiter::tenant(const std::string& name, const TenantLimits& limits) {
  Tenant& found = tenants_[name];
  const Nanos now = clock_.now();
  found.requests.fill(limits.requests_per_minute, now);
  found.tokens.fill(limits.tokens_per_minute, now);
  const int64_t day = clock_.wall() / kSecond / kDayS;
  if (found.day != day && limits.tokens_per_day > 0) {
    found.day = day;
    found.day_tokens = used_since_(name, day * kDayS);
  }
  return found;
}

RateVerdict RateLimiter::verdict(const Tenant& tenant, const TenantLimits& limits, double requests,
                                 double tokens) const {
  RateVerdict out;
  if (const Nanos wait = tenant.requests.until(requests); wait > 0) {
    out.shortage = Shortage::kRequests;
    out.retry_after = wait;
  } else if (const Nanos until = tenant.tokens.until(tokens); until > 0) {
    out.shortage = Shortage::kTokens;
    out.retry_after = until;
  } else if (limits.tokens_per_day > 0 && tenant.day_tokens >= limits.tokens_per_day) {
    out.shortage = Shortage::kTokensOfTheDay;
    out.retry_after = (tenant.day + 1) * kDayS * kSecond - clock_.wall();
  }
  return out;
}

RateVerdict RateLimiter::take_request(const std::string& name, const TenantLimits& limits) {
  const std::lock_guard lock(mutex_);
  Tenant& asking = tenant(name, limits);
  RateVerdict out = verdict(asking, limits, 1, 1);
  if (out.shortage == Shortage::kNone && limits.requests_per_minute > 0) asking.requests.level -= 1;
  out.requests = asking.requests.allowance();
  out.tokens = asking.tokens.allowance();
  return out;
}

RateVerdict RateLimiter::reserve(const std::string& name, const TenantLimits& limits,
                                 int64_t tokens) {
  const std::lock_guard lock(mutex_);
  Tenant& asking = tenant(name, limits);
  RateVerdict out = verdict(asking, limits, 0, static_cast<double>(tokens));
  if (out.shortage == Shortage::kNone) {
    if (limits.tokens_per_minute > 0) asking.tokens.level -= static_cast<double>(tokens);
    asking.day_tokens += tokens;
  }
  out.requests = asking.requests.allowance();
  out.tokens = asking.tokens.allowance();
  return out;
}

void RateLimiter::settle(const std::string& name, const TenantLimits& limits, int64_t reserved,
                         int64_t used) {
  const std::lock_guard lock(mutex_);
  Tenant& asking = tenant(name, limits);
  if (limits.tokens_per_minute > 0) {
    asking.tokens.level += static_cast<double>(reserved - used);
    asking.tokens.level =
        std::min(asking.tokens.level, static_cast<double>(limits.tokens_per_minute));
  }
  asking.day_tokens = std::max<int64_t>(0, asking.day_tokens + used - reserved);
}

}  // namespace hearth::serve
