// Ranks that are threads of one process: what tests use in place of processes.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "train/wire.h"

namespace hearth::train {

// Where the ranks meet. Thread-safe; outlives its wires.
class LocalHub {
 public:
  explicit LocalHub(int size) : posts_(static_cast<size_t>(size)) {}
  int size() const { return static_cast<int>(posts_.size()); }

 private:
  friend class LocalWire;
  struct Post {
    std::span<const Wire::Outgoing> out;
    std::string what;
  };
  void meet(std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;
  std::condition_variable all_arrived_;
  std::vector<Post> posts_;
  int arrived_ = 0;
  int64_t meetings_ = 0;
  int gone_ = -1;  // a rank whose wire was destroyed while others may still wait
};

class LocalWire final : public Wire {
 public:
  LocalWire(LocalHub& hub, int rank) : hub_(hub), rank_(rank) {}
  ~LocalWire() override;
  LocalWire(const LocalWire&) = delete;
  LocalWire& operator=(const LocalWire&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return hub_.size(); }
  void exchange(std::span<const Outgoing> out, std::span<const Incoming> in,
                std::string_view what) override;

 private:
  LocalHub& hub_;
  int rank_;
};

}  // namespace hearth::train
