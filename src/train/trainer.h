// One training run: batches, updates, validation, samples, checkpoints; alone or as one of several
// ranks that train the same model on different documents.
//
// One thread drives it; ops use the workers of the context. The same config, data, kernels and
// number of ranks give the same losses bit for bit, on any number of threads, killed and resumed
// anywhere; another number of ranks gives them within rounding.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "base/clock.h"
#include "train/checkpoint.h"
#include "train/collective.h"
#include "train/config.h"
#include "train/gradient_reducer.h"
#include "train/model.h"
#include "train/shard_plan.h"
#include "train/spike_guard.h"
#include "train/weight_gather.h"

namespace hearth::tokenizer {
class Tokenizer;
}

namespace hearth::train {

// What one update did, all ranks together.
struct StepReport {
  int64_t step = 0;  // counted from 1
  double loss = 0;   // nats a prediction
  double grad_norm = 0;
  double learning_rate = 0;
  bool left_out = false;  // a spike: the weights did not move
  int64_t tokens = 0;     // predictions so far
  int64_t epoch = 0;
  double tokens_per_second = 0;
  double flops_per_second = 0;
  double reduce_seconds = 0;  // spent on summing gradients over ranks, most of it beside compute
  double wait_seconds = 0;    // the part of it that compute waited for
};

struct ValidationReport {
  int64_t step = 0;
  double loss = 0;  // nats a prediction
  double bits_per_byte = 0;
  int64_t tokens = 0;
};

struct SampleReport {
  int64_t step = 0;
  std::string prompt;
  std::string text;  // what the model wrote behind it
};

// Who watches a run. Called on the thread that drives it, on each rank.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_start(const Model& model, const DataStream& data, int64_t first_step) = 0;
  virtual void on_step(const StepReport& report) = 0;
  virtual void on_validation(const ValidationReport& report) = 0;
  virtual void on_checkpoint(const CheckpointReport&) {}
  virtual void on_sample(const SampleReport&) {}  // on rank 0 only
};

class Trainer {
 public:
  // Makes or loads the model, opens the data, and restores the newest checkpoint of run.out.
  // `wire` connects the ranks of a run; nullptr: this one is alone.
  Trainer(const TrainConfig& config, ops::TrainContext ctx, const Clock& clock,
          Wire* wire = nullptr);
  ~Trainer();

  // Runs to the last step, or until *stop on any rank; either way leaves a checkpoint. True: the
  // run is done and run.out/model holds the model. Throws Error when the last checkpoint could not
  // be written, or when a rank is gone.
  bool run(Observer& observer, const std::atomic<bool>& stop);

  Model& model() { return *model_; }

 private:
  struct StepWork;
  StepWork next_work();
  StepReport train_step();
  double accumulate_gradients(const StepWork& work);
  void judge_and_move(double local_sum, const StepWork& work, StepReport& report);
  ValidationReport validate();
  void sample(Observer& observer);
  void restore();
  void checkpoint(Observer& observer);
  bool settle_last(Observer& observer);
  void save();
  bool any_rank(const std::atomic<bool>& flag);
  std::string at_step(const char* what) const;  // "step 12, losses"

  TrainConfig config_;
  ops::TrainContext ctx_;
  const Clock& clock_;
  Collective ranks_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<DataStream> data_;
  std::unique_ptr<DataStream> validation_;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer_;  // of samples
  ShardPlan plan_;
  std::unique_ptr<Optimizer> optimizer_;
  WeightGather weights_;
  GradientReducer reducer_;
  CheckpointWriter writer_;
  SpikeGuard loss_guard_, norm_guard_;
  RunState state_;
};

// Mean loss and bits per byte of a model over a stream from its beginning; tokens_max 0: one whole
// epoch. Ranks take every so manieth part of it and get the same report.
ValidationReport evaluate(ops::TrainContext& ctx, Model& model, DataStream& data,
                          int64_t micro_tokens, int64_t tokens_max);
ValidationReport evaluate(ops::TrainContext& ctx, Model& model, DataStream& data,
                          int64_t micro_tokens, int64_t tokens_max, Collective& ranks);

}  // namespace hearth::train
