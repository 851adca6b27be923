// Threads that share the loops of ops, without a wake-up for each op.
//
// Each thread has a share of a loop's tasks, next to each other, so that it reads on in memory
// where it was; who is done takes single tasks from the far ends of the others' shares. So a thread
// that the system took off its core holds up one task and not its share. Between loops workers spin
// for a short, bounded time (ops follow each other within microseconds) and then sleep on a futex,
// so that an idle pool costs nothing and a busy neighbour gets its core. The calling thread works
// too.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
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

  int count() const override { return count_; }
  void run(int64_t tasks, const std::function<void(int64_t task, int worker)>& body) override;

 private:
  // The tasks of a thread that nobody took yet. On a cache line of its own.
  class alignas(64) Share {
   public:
    void open(int64_t begin, int64_t end);
    // The next task, or the last; -1: there is none.
    int64_t take_front();
    int64_t take_back();

   private:
    std::atomic<uint64_t> open_{0};  // the first of them, and in the upper half where they end
  };

  void work(int worker);
  void take_tasks(int worker);
  void wait_for_others(int64_t tasks);

  const int count_;  // the caller too

  // Written by run() while no task is open; read by a worker only while one that it took is not
  // counted as finished.
  const std::function<void(int64_t, int)>* body_ = nullptr;
  int64_t tasks_ = 0;

  std::unique_ptr<Share[]> shares_;  // by worker
  // Each on its own cache line: the counters are written by all threads.
  alignas(64) std::atomic<int32_t> finished_{0};  // tasks done; the caller sleeps on it
  alignas(64) std::atomic<int32_t> loops_{0};     // loops started; workers sleep on it
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

// The cores that this process may run on.
int usable_cores();

}  // namespace hearth::backend::cpu
