#include "apps/kernel_report.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <fmt/format.h>
#include <utility>

namespace hearth::apps {
namespace {

constexpr double kSecondsPerMeasurement = 0.4;
constexpr int kRunsMin = 3;

// With one thread the processor time of this thread, which leaves out the time slices of other
// programs; with more, the time on the clock.
double now_seconds(int threads) {
  timespec time;
  clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

const char* name_of(KernelReport::Unit unit) {
  switch (unit) {
    case KernelReport::Unit::kGBytes:
      return "GB/s";
    case KernelReport::Unit::kGFlops:
      return "GFLOP/s";
    case KernelReport::Unit::kGOps:
      return "GOP/s";
  }
  return "";
}

}  // namespace

KernelReport::KernelReport(std::string filter, int threads, Form form)
    : filter_(std::move(filter)), threads_(threads), form_(form) {
  if (form_ == Form::kJson) return;
  const auto heading = fmt::format("{} thread{}", threads_, threads_ > 1 ? "s" : "");
  fmt::print("{:<36} {:>10} {:>17} {:>9}\n", heading, "ms", "rate", "of limit");
}

bool KernelReport::wants(std::string_view kernel) const {
  return kernel.find(filter_) != std::string_view::npos;
}

double KernelReport::best_seconds(const std::function<void()>& run) const {
  run();
  double best = 1e30, total = 0.0;
  for (int i = 0; i < kRunsMin || total < kSecondsPerMeasurement; ++i) {
    const double start = now_seconds(threads_);
    run();
    const double seconds = now_seconds(threads_) - start;
    best = std::min(best, seconds);
    total += seconds;
  }
  return best;
}

void KernelReport::line(const std::string& name, double seconds, double amount, Unit unit,
                        double limit) const {
  const double rate = amount / seconds * 1e-9;
  const char* unit_name = name_of(unit);
  if (form_ == Form::kTable) {
    fmt::print("{:<36} {:>10.3f} {:>9.1f} {:<7} {:>9}\n", name, seconds * 1e3, rate, unit_name,
               limit > 0 ? fmt::format("{:.0f} %", 100.0 * rate / limit) : "");
  } else {
    fmt::print(R"({{"bench":"kernels","name":"{}","threads":{},"ms":{:.4f},"rate":{:.1f},)"
               R"("unit":"{}","share_of_limit":{}}})"
               "\n",
               name, threads_, seconds * 1e3, rate, unit_name,
               limit > 0 ? fmt::format("{:.3f}", rate / limit) : "null");
  }
  std::fflush(stdout);
}

}  // namespace hearth::apps
