#include "backend/cpu/thread_pool.h"

#include <algorithm>
#include <immintrin.h>
#include <limits>
#include <sched.h>

#include "base/check.h"

namespace hearth::backend::cpu {
namespace {

// About 30 microseconds: longer than the gap between two ops of a step, far shorter than a
// scheduler's time slice.
constexpr int kSpins = 1000;

template <typename Condition>
bool spin_until(Condition condition) {
  for (int i = 0; i < kSpins; ++i) {
    if (condition()) return true;
    _mm_pause();
  }
  return false;
}

}  // namespace

int usable_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(CPU_COUNT(&set), 1);
  return std::max(static_cast<int>(std::thread::hardware_concurrency()), 1);
}

ThreadPool::ThreadPool(int threads) {
  CHECK(threads >= 0, "{} threads", threads);
  const int count = threads == 0 ? usable_cores() : threads;
  for (int worker = 1; worker < count; ++worker) {
    threads_.emplace_back([this, worker] { work(worker); });
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_relaxed);
  loops_.fetch_add(1, std::memory_order_release);
  loops_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::run(int64_t tasks, const std::function<void(int64_t, int)>& body) {
  if (tasks <= 1 || threads_.empty()) {
    for (int64_t task = 0; task < tasks; ++task) body(task, 0);
    return;
  }
  CHECK(tasks <= std::numeric_limits<int32_t>::max(), "{} tasks in one loop", tasks);
  body_ = &body;
  tasks_ = tasks;
  finished_.store(0, std::memory_order_relaxed);
  open_.store(tasks, std::memory_order_release);
  loops_.fetch_add(1, std::memory_order_release);
  loops_.notify_all();
  take_tasks(0);
  wait_for_others(tasks);
}

// A task that was taken keeps its loop alive (the caller waits for it), so whoever took one may
// read body_ and tasks_, however late it woke up.
void ThreadPool::take_tasks(int worker) {
  int64_t open = open_.load(std::memory_order_acquire);
  while (open > 0) {
    if (!open_.compare_exchange_weak(open, open - 1, std::memory_order_acq_rel,
                                     std::memory_order_acquire)) {
      continue;
    }
    const int64_t tasks = tasks_;
    (*body_)(tasks - open, worker);
    if (finished_.fetch_add(1, std::memory_order_acq_rel) + 1 == tasks) finished_.notify_one();
    open = open_.load(std::memory_order_acquire);
  }
}

void ThreadPool::wait_for_others(int64_t tasks) {
  const auto done = [&] { return finished_.load(std::memory_order_acquire) == tasks; };
  if (spin_until(done)) return;
  for (int32_t seen = finished_.load(std::memory_order_acquire); seen != tasks;
       seen = finished_.load(std::memory_order_acquire)) {
    finished_.wait(seen, std::memory_order_acquire);
  }
}

void ThreadPool::work(int worker) {
  int32_t seen = 0;
  while (true) {
    const auto called = [&] { return loops_.load(std::memory_order_acquire) != seen; };
    if (!spin_until(called)) loops_.wait(seen, std::memory_order_acquire);
    seen = loops_.load(std::memory_order_acquire);
    if (stop_.load(std::memory_order_relaxed)) return;
    take_tasks(worker);
  }
}

}  // namespace hearth::backend::cpu
