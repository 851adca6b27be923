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

constexpr uint64_t kOneFromBack = uint64_t{1} << 32;

int count_of(int threads) {
  CHECK(threads >= 0, "{} threads", threads);
  return threads == 0 ? usable_cores() : threads;
}

int64_t front_of(uint64_t open) { return static_cast<int64_t>(open & (kOneFromBack - 1)); }
int64_t end_of(uint64_t open) { return static_cast<int64_t>(open >> 32); }

}  // namespace

int usable_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(CPU_COUNT(&set), 1);
  return std::max(static_cast<int>(std::thread::hardware_concurrency()), 1);
}

void ThreadPool::Share::open(int64_t begin, int64_t end) {
  const auto packed = static_cast<uint64_t>(end) * kOneFromBack + static_cast<uint64_t>(begin);
  open_.store(packed, std::memory_order_release);
}

int64_t ThreadPool::Share::take_front() {
  uint64_t open = open_.load(std::memory_order_acquire);
  while (front_of(open) < end_of(open)) {
    if (open_.compare_exchange_weak(open, open + 1, std::memory_order_acq_rel,
                                    std::memory_order_acquire)) {
      return front_of(open);
    }
  }
  return -1;
}

int64_t ThreadPool::Share::take_back() {
  uint64_t open = open_.load(std::memory_order_acquire);
  while (front_of(open) < end_of(open)) {
    if (open_.compare_exchange_weak(open, open - kOneFromBack, std::memory_order_acq_rel,
                                    std::memory_order_acquire)) {
      return end_of(open) - 1;
    }
  }
  return -1;
}

ThreadPool::ThreadPool(int threads)
    : count_(count_of(threads)), shares_(std::make_unique<Share[]>(static_cast<size_t>(count_))) {
  for (int worker = 1; worker < count_; ++worker) {
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
  for (int worker = 0; worker < count_; ++worker) {
    shares_[static_cast<size_t>(worker)].open(tasks * worker / count_,
                                              tasks * (worker + 1) / count_);
  }
  loops_.fetch_add(1, std::memory_order_release);
  loops_.notify_all();
  take_tasks(0);
  wait_for_others(tasks);
}

// A task that was taken keeps its loop alive until it is counted as finished (the caller waits for
// it), so whoever took one may read body_ and tasks_, however late it woke up.
void ThreadPool::take_tasks(int worker) {
  int32_t done = 0;
  const auto finish = [&](int64_t task) {
    (*body_)(task, worker);
    ++done;
  };
  Share& own = shares_[static_cast<size_t>(worker)];
  for (int64_t task = own.take_front(); task >= 0; task = own.take_front()) finish(task);
  for (int i = 1; i < count_; ++i) {
    Share& other = shares_[static_cast<size_t>((worker + i) % count_)];
    for (int64_t task = other.take_back(); task >= 0; task = other.take_back()) finish(task);
  }
  if (done == 0) return;
  const int64_t tasks = tasks_;
  if (finished_.fetch_add(done, std::memory_order_acq_rel) + done == tasks) finished_.notify_one();
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
