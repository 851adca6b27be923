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

// The most memory that this process has had, and has now, as the kernel counts it.
int64_t peak_memory_bytes();
int64_t memory_bytes();

}  // namespace hearth::apps
