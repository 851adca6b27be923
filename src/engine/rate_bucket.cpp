#include "engine/rate_bucket.h"

#include <algorithm>

#include "base/check.h"

namespace hearth::engine {
namespace {

constexpr __int128 kWideMinute = static_cast<__int128>(60) * kSecond;

}  // namespace

RateBucket::RateBucket(Cost rate_per_minute, Nanos window, Nanos now)
    : rate_(rate_per_minute), window_(window), drained_at_(now) {
  CHECK(rate_ > 0 && window_ > 0, "a bucket of rate {} over {} ns", rate_, window_);
}

void RateBucket::drain(Nanos now) {
  if (now <= drained_at_) return;
  const __int128 gone = static_cast<__int128>(rate_) * (now - drained_at_);
  level_ = level_ > gone ? level_ - gone : 0;
  drained_at_ = now;
}

Nanos RateBucket::wait(Nanos now) {
  drain(now);
  const __int128 over = level_ - static_cast<__int128>(rate_) * window_;
  return over < 0 ? 0 : static_cast<Nanos>(over / rate_) + 1;
}

void RateBucket::add(Cost cost, Nanos now) {
  drain(now);
  level_ += cost * kWideMinute;
}

void RateBucket::correct(Cost estimated, Cost actual, Nanos now) {
  drain(now);
  level_ = std::max<__int128>(level_ + (actual - estimated) * kWideMinute, 0);
}

void RateBucket::set_rate(Cost rate_per_minute, Nanos now) {
  CHECK(rate_per_minute > 0, "a bucket of rate {}", rate_per_minute);
  drain(now);
  rate_ = rate_per_minute;
}

int32_t RateBucket::utilization_permille(Nanos now) {
  drain(now);
  const __int128 full = static_cast<__int128>(rate_) * window_;
  return static_cast<int32_t>(std::min<__int128>(level_ * 1000 / full, 1'000'000'000));
}

Cost RateBucket::size() const {
  return static_cast<Cost>(static_cast<__int128>(rate_) * window_ / kWideMinute);
}

Cost RateBucket::room(Nanos now) {
  drain(now);
  return std::max<Cost>(size() - static_cast<Cost>(level_ / kWideMinute), 0);
}

}  // namespace hearth::engine
