// Requests and tokens per minute and tokens per day of each tenant. Buckets that refill evenly, so
// that a burst of a minute's worth is taken at once and then as fast as time goes; the day ends at
// midnight UTC. Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "serve/tenants/tenant_store.h"

namespace hearth::serve {

enum class Shortage : uint8_t { kNone, kRequests, kTokens, kTokensOfTheDay };

// Of one of the limits; limit 0: there is none.
struct Allowance {
  int64_t limit = 0;
  int64_t remaining = 0;
  Nanos full_in = 0;
};

struct RateVerdict {
  Shortage shortage = Shortage::kNone;
  Nanos retry_after = 0;
  Allowance requests, tokens;
};

class RateLimiter {
 public:
  // What a tenant has used since a second of the wall clock: asked once a day and tenant.
  using UsedSince = std::function<int64_t(const std::string& tenant, int64_t begin_s)>;

  RateLimiter(const Clock& clock, UsedSince used_since)
      : clock_(clock), used_since_(std::move(used_since)) {}

  // Takes one request, if none of the limits is used up.
  RateVerdict take_request(const std::string& tenant, const TenantLimits& limits);
  // Takes tokens that a request may need. More than a whole minute's are lent to who has a full
  // bucket, so that no request is refused for ever.
  RateVerdict reserve(const std::string& tenant, const TenantLimits& limits, int64_t tokens);
  // It took `used` in place of `reserved`.
  void settle(const std::string& tenant, const TenantLimits& limits, int64_t reserved,
              int64_t used);

 private:
  struct Bucket {
    double level = 0;
    Nanos filled = 0;
    int64_t limit = 0;

    void fill(int64_t per_minute, Nanos now);
    Nanos until(double wanted) const;
    Allowance allowance() const;
  };
  struct Tenant {
    Bucket requests, tokens;
    int64_t day = -1;
    int64_t day_tokens = 0;
  };

  Tenant& tenant(const std::string& name, const TenantLimits& limits);
  RateVerdict verdict(const Tenant& tenant, const TenantLimits& limits, double requests,
                      double tokens) const;

  const Clock& clock_;
  const UsedSince used_since_;
  std::mutex mutex_;
  std::map<std::string, Tenant> tenants_;  // guarded by mutex_
};

}  // namespace hearth::serve
