// Time as an interface, so that everything that waits or measures can run in virtual time.
#pragma once

#include <cstdint>

namespace hearth {

using Nanos = int64_t;

constexpr Nanos kMicrosecond = 1'000;
constexpr Nanos kMillisecond = 1'000'000;
constexpr Nanos kSecond = 1'000'000'000;

class Clock {
 public:
  virtual ~Clock() = default;
  // Monotonic; the origin is arbitrary. For durations and deadlines.
  virtual Nanos now() const = 0;
  // Nanoseconds since 1970-01-01T00:00:00Z. For records that people read.
  virtual Nanos wall() const = 0;
};

// The machine's clocks. Thread-safe.
class SystemClock final : public Clock {
 public:
  Nanos now() const override;
  Nanos wall() const override;
};

// Stands still until told to move. Not thread-safe: one simulation owns it.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(Nanos start = 0) : now_(start) {}
  Nanos now() const override { return now_; }
  Nanos wall() const override { return now_; }
  void advance(Nanos by) { now_ += by; }

 private:
  Nanos now_;
};

}  // namespace hearth
