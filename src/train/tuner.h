// One tuning job: an adapter on a frozen model, from conversations or preferences.
//
// One thread drives it; ops use the workers of the context. The same configuration, data and
// kernels give the same losses bit for bit, on any number of threads, killed and resumed anywhere.
// The base is only read.
#pragma once

#include <atomic>
#include <memory>

#include "base/clock.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"
#include "train/checkpoint.h"
#include "train/lora.h"
#include "train/model.h"
#include "train/plan.h"
#include "train/schedule.h"
#include "train/tune_config.h"
#include "train/tune_objective.h"

namespace hearth::train {

struct TuneStart {
  int64_t base_parameters = 0;
  int64_t trained_parameters = 0;
  int64_t modules = 0;
  const TuneData& data;
  int64_t validation_examples = 0;
  int64_t first_step = 0;  // done before
  int64_t steps = 0;       // in all
  MemoryPieces planned;    // bytes that the planner expects
};

// What one update did.
struct TuneStep {
  int64_t step = 0;     // counted from 1
  double loss = 0;      // sft: nats a learned token; dpo: -log σ(margin) a pair
  double accuracy = 0;  // dpo: share of pairs whose preferred reply gained more
  double margin = 0;    // dpo: mean
  double grad_norm = 0;
  double learning_rate = 0;
  bool left_out = false;  // not finite: the adapter did not move
  int64_t tokens = 0;     // learned so far
  int64_t epoch = 0;
  double seconds = 0;
  double tokens_per_second = 0;
  double flops_per_second = 0;
};

struct TuneValidation {
  int64_t step = 0;
  double loss = 0;
  double accuracy = 0;  // dpo
  double margin = 0;    // dpo
};

// Who watches a job. Called on the thread that drives it.
class TuneObserver {
 public:
  virtual ~TuneObserver() = default;
  virtual void on_start(const TuneStart& start) = 0;
  virtual void on_step(const TuneStep& report) = 0;
  virtual void on_validation(const TuneValidation& report) = 0;
};

class Tuner {
 public:
  // Loads the base, reads the data, and restores the newest checkpoint of run.out.
  Tuner(const TuneConfig& config, ops::TrainContext ctx, const Clock& clock);
  ~Tuner();

  // Runs to the last step, or until *stop; either way leaves a checkpoint. True: the job is done
  // and run.out holds the adapter. Throws Error when a stopped job's checkpoint could not be
  // written.
  bool run(TuneObserver& observer, const std::atomic<bool>& stop);

  Model& model() { return *model_; }
  LoraSet& adapter() { return lora_; }

 private:
  void load_base();
  void read_data();
  void restore();
  TuneStep step();
  TuneValidation validate();
  MemoryPieces planned() const;
  int64_t largest_batch() const;
  void checkpoint();
  bool finish_checkpoint();
  void save() const;

  TuneConfig config_;
  ops::TrainContext ctx_;
  const Clock& clock_;
  LoraSet lora_;
  std::shared_ptr<io::FileSource> files_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<TuneObjective> objective_;
  TuneSet train_, validation_;
  std::unique_ptr<TuneOrder> order_;
  Schedule schedule_;
  std::unique_ptr<Optimizer> optimizer_;
  Collective alone_{nullptr};
  CheckpointWriter writer_;
  RunState state_;
};

}  // namespace hearth::train
