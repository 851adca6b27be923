// One training run: batches, updates, validation, checkpoints, log.
//
// One thread drives it; ops use the workers of the context. The same config, data and kernels give
// the same losses bit for bit, on any number of threads, killed and resumed anywhere.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "base/clock.h"
#include "train/checkpoint.h"
#include "train/config.h"
#include "train/model.h"
#include "train/spike_guard.h"

namespace hearth::train {

// What one update did.
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
};

struct ValidationReport {
  int64_t step = 0;
  double loss = 0;  // nats a prediction
  double bits_per_byte = 0;
  int64_t tokens = 0;
};

// Who watches a run. Called on the thread that drives it.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_start(const Model& model, const DataStream& data, int64_t first_step) = 0;
  virtual void on_step(const StepReport& report) = 0;
  virtual void on_validation(const ValidationReport& report) = 0;
};

class Trainer {
 public:
  // Makes or loads the model, opens the data, and restores the newest checkpoint of run.out.
  Trainer(const TrainConfig& config, ops::TrainContext ctx, const Clock& clock);

  // Runs to the last step, or until *stop; either way leaves a checkpoint. True: the run is done
  // and run.out/model holds the model.
  bool run(Observer& observer, const std::atomic<bool>& stop);

  Model& model() { return *model_; }

 private:
  StepReport train_step();
  ValidationReport validate();
  void checkpoint();

  TrainConfig config_;
  ops::TrainContext ctx_;
  const Clock& clock_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<DataStream> data_;
  std::unique_ptr<DataStream> validation_;
  std::unique_ptr<Optimizer> optimizer_;
  CheckpointWriter writer_;
  SpikeGuard loss_guard_, norm_guard_;
  RunState state_;
};

// Mean loss and bits per byte of a model over a stream from its beginning; tokens_max 0: one whole
// epoch.
ValidationReport evaluate(ops::TrainContext& ctx, Model& model, DataStream& data,
                          int64_t micro_tokens, int64_t tokens_max);

}  // namespace hearth::train
