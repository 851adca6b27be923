// What commands that run for long share: a polite way to be stopped, the log of a run that goes on,
// times for people.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace hearth::apps {

// Set by the first SIGINT or SIGTERM; the second ends the process at once.
const std::atomic<bool>& stop_on_signal();

// The lines of a JSONL log up to `last_step`: what came after is written again.
std::string log_lines_until(const std::string& path, int64_t last_step);

std::string short_time(double seconds);  // "1h05m", "3m20s"

// How long steps that are still to come will take, from those that were: newer ones count more.
class TimeLeft {
 public:
  void add_step(double seconds);
  std::string of(int64_t steps) const { return short_time(static_cast<double>(steps) * mean_); }

 private:
  double mean_ = 0;
};

// The most memory that this process has had, and has now, as the kernel counts it.
int64_t peak_memory_bytes();
int64_t memory_bytes();

}  // namespace hearth::apps
