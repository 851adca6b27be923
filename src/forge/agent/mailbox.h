// A box between the threads of an agent. What is taken is taken whole.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>
#include <vector>

namespace hearth::forge {

template <typename T>
class Mailbox {
 public:
  void put(std::vector<T> items) {
    {
      const std::lock_guard lock(mutex_);
      for (T& item : items) items_.push_back(std::move(item));
    }
    wake_.notify_one();
  }
  std::vector<T> take(std::chrono::milliseconds longest) {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, longest, [this] { return !items_.empty(); });
    return std::exchange(items_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<T> items_;
};

}  // namespace hearth::forge
