// Time for a bench that also waits: on a machine with other work, what the process computes says
// more than what passes.
#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <ctime>
#include <string>
#include <thread>

#include "base/clock.h"

namespace hearth::bench {

// The machine's time, or what of it this process computed and what was skipped.
class BenchClock final : public Clock {
 public:
  enum class Kind { kWall, kCpu };
  explicit BenchClock(Kind kind) : kind_(kind) {}
  Nanos now() const override {
    return kind_ == Kind::kCpu ? process_time() + skipped_ : system_.now();
  }
  Nanos wall() const override { return system_.wall(); }
  void wait_until(Nanos until) {
    const Nanos left = std::max<Nanos>(until - now(), 0);
    if (kind_ == Kind::kCpu) {
      skipped_ += left;
    } else {
      std::this_thread::sleep_for(std::chrono::nanoseconds(left));
    }
  }

 private:
  static Nanos process_time() {
    timespec time{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return time.tv_sec * kSecond + time.tv_nsec;
  }

  const Kind kind_;
  Nanos skipped_ = 0;
  SystemClock system_;
};

inline void add_clock(CLI::App& app, std::string& name) {
  app.add_option("--clock", name, "what passes, or what the process computes (--threads 1)")
      ->check(CLI::IsMember({"wall", "cpu"}));
}

// Of --clock.
inline BenchClock::Kind clock_kind(const std::string& name) {
  return name == "cpu" ? BenchClock::Kind::kCpu : BenchClock::Kind::kWall;
}

}  // namespace hearth::bench
