// Threads that share the loops of ops, without a wake-up for each op.
//
// Tasks are taken one by one from an atomic counter, so a thread that the system took off its core
// holds up one task and not a share of the loop. Between loops workers spin for a short, bounded
// time (ops follow each other within microseconds) and then sleep on a futex, so that an idle pool
// costs nothing and a busy neighbour gets its core. The calling thread works too.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "ops/context.h"

namespace hearth::backend::cpu {

class ThreadPool final : public ops::Workers {
 public:
  // `threads` includes the caller; 0: one for each core that this process may use.
  explicit ThreadPool(int threads);
  ~ThreadPool() override;
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int count() const override { return static_cast<int>(threads_.size()) + 1; }
  void run(int64_t tasks, const std::function<void(int64_t task, int worker)>& body) override;

 private:
  void work(int worker);
  void take_tasks(int worker);
  void wait_for_others(int64_t tasks);

  // Written by run() while no task is open; read by a worker only after it took a task.
  const std::function<void(int64_t, int)>* body_ = nullptr;
  int64_t tasks_ = 0;

  // Each on its own cache line: the counters are written by all threads.
  alignas(64) std::atomic<int64_t> open_{0};      // tasks that nobody took yet
  alignas(64) std::atomic<int32_t> finished_{0};  // tasks done; the caller sleeps on it
  alignas(64) std::atomic<int32_t> loops_{0};     // loops started; workers sleep on it
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

// The cores that this process may run on.
int usable_cores();

}  // namespace hearth::backend::cpu
