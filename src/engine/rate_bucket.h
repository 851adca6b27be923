// A leaky bucket: what a deployment has taken of what it bought. Work is poured in when it is
// accepted, by estimate, and corrected when it is done; it drains all the time at the rate that was
// bought. While the level is below full, work is accepted, whatever its size: short bursts are.
//
// No clock: every call says when it is, in an order that never goes back. One thread at a time.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "engine/types.h"

namespace hearth::engine {

class RateBucket {
 public:
  // Full when it holds what drains in `window`.
  RateBucket(Cost rate_per_minute, Nanos window, Nanos now);

  // Until work is accepted; 0: it is.
  Nanos wait(Nanos now);
  void add(Cost cost, Nanos now);
  // What was poured in by estimate came to something else.
  void correct(Cost estimated, Cost actual, Nanos now);
  // From now on; what is in it stays, so that nothing is forgiven and nothing is taken.
  void set_rate(Cost rate_per_minute, Nanos now);

  // The level, of what is full, in thousandths; above 1000 while work is refused.
  int32_t utilization_permille(Nanos now);
  // Room below full, for headers; not negative.
  Cost room(Nanos now);
  Cost size() const;
  Cost rate_per_minute() const { return rate_; }

 private:
  void drain(Nanos now);

  Cost rate_;
  const Nanos window_;
  Nanos drained_at_;
  // Cost times nanoseconds of a minute, so that draining never rounds.
  __int128 level_ = 0;
};

}  // namespace hearth::engine
