#include "apps/weight_mover.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "runner/memory.h"

namespace hearth::apps {
namespace {

constexpr std::chrono::seconds kBegins{1};
constexpr int kLowestPriority = 19;
// Memory has to be free for so many copies: what is left is for caches and for others.
constexpr int64_t kCopiesFree = 2;

// False: the server ends before.
bool wait_until_begun(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, kBegins, [] { return false; });
  return !stop.stop_requested();
}

void move_weights(const LocalModel& model, const std::stop_token& stop) {
  if (!wait_until_begun(stop)) return;
  // Of this thread alone; where it may not, the thread is one like others.
  static_cast<void>(::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kLowestPriority));
  const size_t mapped = model.mapped_weight_bytes();
  const int64_t needed = kCopiesFree * static_cast<int64_t>(mapped);
  if (mapped == 0 || runner::available_memory_bytes() < needed) return;
  const size_t moved = model.move_weights_to_huge_pages(stop);
  log::debug("weights moved to huge pages bytes={} of={}", moved, mapped);
}

}  // namespace

WeightMover::WeightMover(const LocalModel& model)
    : thread_([&model](const std::stop_token& stop) { move_weights(model, stop); }) {}

}  // namespace hearth::apps
