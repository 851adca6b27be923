// Sums gradients over the ranks while the backward pass still runs.
//
// The thread that trains says which elements are final; a thread of this class then sends each
// bucket to the ranks that keep its parts. Between finish_round() and the next start_round() that
// thread does not touch the collective, so the training thread may use it.
//
// Stage 1 keeps all gradients on every rank until the last micro-batch and reduces once a step;
// stage 2 reduces after each micro-batch and gives the memory of what was sent back, so that a rank
// holds its own share and the buckets in flight.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.h"
#include "train/collective.h"
#include "train/model.h"
#include "train/shard_plan.h"

namespace hearth::train {

enum class ZeroStage : uint8_t { kOne = 1, kTwo = 2 };

class GradientReducer {
 public:
  // `plan` and the others outlive it.
  GradientReducer(Collective& collective, Parameters& parameters, const ShardPlan& plan,
                  ZeroStage stage, const Clock& clock);
  ~GradientReducer();
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;

  // A new step: all gradients are zero.
  void clear();
  // The next backward pass is reduced; `what` names it in errors.
  void start_round(const std::string& what);
  // As Model::forward_backward says it; ready(0) ends the round.
  void ready(int64_t from);
  // Waits until the round is reduced; throws what its thread threw.
  void finish_round();

  // What this rank keeps of the sums: [owned]. Between rounds.
  TensorView gradients() const;
  ZeroStage stage() const { return stage_; }

  // Of the current step: time spent on reducing, and the part of it that training waited for.
  Nanos busy() const { return busy_; }
  Nanos waited() const { return waited_; }

 private:
  void work();
  void reduce(size_t bucket);

  Collective& collective_;
  Parameters& parameters_;
  const ShardPlan& plan_;
  const ZeroStage stage_;
  const Clock& clock_;
  std::vector<int64_t> local_;  // where each bucket's part lies in own_
  Tensor own_;                  // empty where one rank trains alone

  std::mutex mutex_;
  std::condition_variable changed_;
  size_t ready_ = 0;  // buckets of the round that may be sent
  size_t done_ = 0;   // that were
  bool stop_ = false;
  std::exception_ptr failure_;
  std::string what_;
  Nanos busy_ = 0, waited_ = 0;
  std::thread thread_;
};

}  // namespace hearth::train
