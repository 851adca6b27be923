#include "apps/run_log.h"

#include <csignal>
#include <cstdlib>
#include <fmt/format.h>
#include <fstream>

#include "io/json.h"

namespace hearth::apps {
namespace {

std::atomic<bool> stop_asked{false};

void ask_to_stop(int) {
  if (stop_asked.exchange(true)) std::_Exit(130);
}

// A line of /proc/self/status such as "VmHWM:   123 kB".
int64_t status_bytes(const std::string& name) {
  std::ifstream in("/proc/self/status");
  for (std::string word; in >> word;) {
    int64_t kilobytes = 0;
    if (word == name + ":" && in >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}

}  // namespace

const std::atomic<bool>& stop_on_signal() {
  std::signal(SIGINT, ask_to_stop);
  std::signal(SIGTERM, ask_to_stop);
  return stop_asked;
}

std::string log_lines_until(const std::string& path, int64_t last_step) {
  std::ifstream in(path);
  std::string kept;
  for (std::string line; std::getline(in, line);) {
    const io::Json json = io::Json::parse(line, nullptr, false);
    if (json.is_discarded() || json.value("step", int64_t{0}) > last_step) continue;
    kept += line + "\n";
  }
  return kept;
}

std::string short_time(double seconds) {
  const auto whole = static_cast<int64_t>(seconds);
  if (whole >= 3600) return fmt::format("{}h{:02d}m", whole / 3600, whole / 60 % 60);
  return fmt::format("{}m{:02d}s", whole / 60, whole % 60);
}

void TimeLeft::add_step(double seconds) {
  mean_ = mean_ == 0 ? seconds : 0.95 * mean_ + 0.05 * seconds;
}

int64_t peak_memory_bytes() { return status_bytes("VmHWM"); }
int64_t memory_bytes() { return status_bytes("VmRSS"); }

}  // namespace hearth::apps
