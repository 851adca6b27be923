// A training run small enough for seconds, for tests: documents whose next token follows from the
// last, so that there is something to learn, and a model of a few thousand parameters.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/random.h"
#include "ops/context.h"
#include "train/trainer.h"

namespace hearth::train::internal {

constexpr int32_t kTinyVocab = 29;

class TinyRun {
 public:
  explicit TinyRun(std::string folder) : folder_(std::move(folder)) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~TinyRun() { std::filesystem::remove_all(folder_); }
  TinyRun(const TinyRun&) = delete;
  TinyRun& operator=(const TinyRun&) = delete;

  const std::string& folder() const { return folder_; }

  std::string write_shard(int documents, uint64_t seed) const {
    ShardWriter writer(kTinyVocab);
    Random random(seed);
    for (int i = 0; i < documents; ++i) {
      std::vector<int32_t> tokens = {static_cast<int32_t>(random.below(kTinyVocab))};
      const int64_t length = random.between(2, 40);
      while (static_cast<int64_t>(tokens.size()) < length) {
        tokens.push_back((3 * tokens.back() + 1) % kTinyVocab);
      }
      writer.add(tokens, static_cast<int64_t>(tokens.size()) * 3);
    }
    const std::string path = folder_ + "/shard-" + std::to_string(seed) + ".tok";
    writer.write(path);
    return path;
  }

  TrainConfig config(const std::string& out) const {
    TrainConfig c;
    c.model.vocab_size = kTinyVocab;
    c.model.hidden_size = 32;
    c.model.intermediate_size = 48;
    c.model.num_hidden_layers = 2;
    c.model.num_attention_heads = 4;
    c.model.num_key_value_heads = 2;
    c.model.max_position_embeddings = 32;
    c.data.train = {write_shard(200, 5)};
    c.data.validation = {write_shard(20, 6)};
    c.optimizer.learning_rate = 1e-2;
    c.schedule.steps = 60;
    c.schedule.warmup_steps = 5;
    c.batch.tokens = 300;
    c.batch.micro_tokens = 128;
    c.run.out = folder_ + "/" + out;
    c.run.checkpoint_every = 0;
    c.run.validate_every = 0;
    return c;
  }

 private:
  std::string folder_;
};

// Keeps what a run reports; may stop it after a number of steps.
class Recorder final : public Observer {
 public:
  explicit Recorder(int64_t stop_after = -1) : stop_after_(stop_after) {}
  void on_start(const Model&, const DataStream&, int64_t) override {}
  void on_step(const StepReport& report) override {
    steps.push_back(report);
    if (after_step) after_step(report.step);
    if (report.step == stop_after_) stop = true;
  }
  void on_validation(const ValidationReport& report) override { validations.push_back(report); }
  void on_checkpoint(const CheckpointReport& report) override { checkpoints.push_back(report); }

  std::vector<StepReport> steps;
  std::vector<ValidationReport> validations;
  std::vector<CheckpointReport> checkpoints;
  std::function<void(int64_t step)> after_step;
  std::atomic<bool> stop{false};

 private:
  int64_t stop_after_;
};

// All work on the calling thread: what a rank of a test needs of a pool.
class Alone final : public ops::Workers {
 public:
  int count() const override { return 1; }
  void run(int64_t tasks, const std::function<void(int64_t task, int worker)>& body) override {
    for (int64_t task = 0; task < tasks; ++task) body(task, 0);
  }
};

}  // namespace hearth::train::internal
