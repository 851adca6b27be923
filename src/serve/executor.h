// Where serve's own work runs: parsing, templates, detokenisation, JSON. Neither on I/O threads,
// which must stay quick, nor on the engine's thread, which must stay on its steps.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>

namespace hearth::serve {

using Task = std::function<void()>;

class Executor {
 public:
  virtual ~Executor() = default;
  // Any thread; never blocks. Tasks must not throw.
  virtual void post(Task task) = 0;
  // Any thread: what is posted from hold() to release() begins at release(); see Gathering.
  virtual void hold() = 0;
  virtual void release() = 0;
};

// Whoever posts many tasks at once, and must not be interrupted by the first: a thread that is
// woken takes the core of the one that woke it. They begin together when this goes.
class Gathering {
 public:
  explicit Gathering(Executor& executor) : executor_(executor) { executor_.hold(); }
  ~Gathering() { executor_.release(); }
  Gathering(const Gathering&) = delete;
  Gathering& operator=(const Gathering&) = delete;

 private:
  Executor& executor_;
};

// A fixed number of threads over one queue. The destructor runs what is still queued.
std::unique_ptr<Executor> make_worker_pool(int threads);

// Runs tasks when told to, in the caller's thread: for tests.
class ManualExecutor final : public Executor {
 public:
  void post(Task task) override { tasks_.push_back(std::move(task)); }
  void hold() override {}
  void release() override {}
  // False when there was nothing to run.
  bool run_one();

 private:
  std::deque<Task> tasks_;
};

// Tasks of one owner, one after another in the order they came, on any thread of an executor.
class Serial : public std::enable_shared_from_this<Serial> {
 public:
  explicit Serial(Executor& executor) : executor_(executor) {}
  void post(Task task);

 private:
  void run();

  Executor& executor_;
  std::mutex mutex_;
  std::deque<Task> tasks_;
  bool running_ = false;
};

}  // namespace hearth::serve
