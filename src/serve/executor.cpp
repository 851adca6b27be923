#include "serve/executor.h"

#include <condition_variable>
#include <thread>
#include <utility>
#include <vector>

namespace hearth::serve {

namespace {

class WorkerPool final : public Executor {
 public:
  explicit WorkerPool(int threads) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
  }

  ~WorkerPool() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  void post(Task task) override {
    {
      const std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
      if (held_ > 0) return;
    }
    wake_.notify_one();
  }

  void hold() override {
    const std::lock_guard lock(mutex_);
    ++held_;
  }

  void release() override {
    size_t waiting = 0;
    {
      const std::lock_guard lock(mutex_);
      if (--held_ > 0) return;
      waiting = tasks_.size();
    }
    if (waiting == 1) wake_.notify_one();
    if (waiting > 1) wake_.notify_all();
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return stopping_ || (held_ == 0 && !tasks_.empty()); });
      if (tasks_.empty()) return;
      Task task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      task = nullptr;  // what it holds is released without the lock
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> tasks_;
  int held_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace

std::unique_ptr<Executor> make_worker_pool(int threads) {
  return std::make_unique<WorkerPool>(threads);
}

bool ManualExecutor::run_one() {
  if (tasks_.empty()) return false;
  const Task task = std::move(tasks_.front());
  tasks_.pop_front();
  task();
  return true;
}

void Serial::post(Task task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    if (std::exchange(running_, true)) return;
  }
  executor_.post([self = shared_from_this()] { self->run(); });
}

void Serial::run() {
  for (;;) {
    Task task;
    {
      const std::lock_guard lock(mutex_);
      if (tasks_.empty()) {
        running_ = false;
        return;
      }
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

}  // namespace hearth::serve
