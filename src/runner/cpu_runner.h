// The hands on the CPU: executes a StepPlan with a model.
//
// One thread calls run(); it uses the workers of its Context. Nothing here decides anything: which
// tokens, which blocks and when is the brain's.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "adapters/batch.h"
#include "adapters/store.h"
#include "engine/step_plan.h"
#include "models/model.h"
#include "ops/context.h"
#include "runner/kv_storage.h"
#include "runner/sampler.h"

namespace hearth::runner {

struct CpuRunnerOptions {
  // Blocks of the KV cache, of 16 tokens each; the engine's num_blocks.
  int32_t num_blocks = 1024;
  // Sequences that run at once; the engine's max_num_seqs.
  int32_t max_num_seqs = 128;
  // Rows of one step; the engine's max_num_batched_tokens.
  int32_t max_num_batched_tokens = 2048;
  // What keys and values are stored as; absent: f32 for an f32 model, else bf16.
  std::optional<DType> kv_dtype = std::nullopt;
  // Memory for logits: rows that need them go through the head in groups of this size.
  int64_t logits_bytes_max = int64_t{64} << 20;
};

// The cache type that options and model come to.
DType kv_dtype(const CpuRunnerOptions& options, const models::ModelInfo& info);

class CpuRunner final : public engine::Runner {
 public:
  // Everything outlives the runner. Without a store, plans hold no adapters.
  CpuRunner(const models::Model& model, const CpuRunnerOptions& options,
            const ops::Context& context, adapters::AdapterStore* store = nullptr);

  engine::StepResult run(const engine::StepPlan& plan) override;
  // `stop` is asked before each op of the model; what comes after it is not given up.
  engine::StepResult run_idle(const engine::StepPlan& plan,
                              const std::function<bool()>& stop) override;

 private:
  // Rows whose logits are needed: one to score the token that follows, or one to choose a token
  // and one more for each guess of what comes after it.
  struct LogitsRows {
    int32_t row = 0;  // the first, in the batch
    int32_t count = 1;
    int32_t sequence = 0;  // in the plan
    int32_t prompt = -1;   // entry of SequenceResult::prompt; -1: choose tokens
  };
  struct Slot {
    TokenCounts counts;
    std::vector<double> pooled;  // sum (kMean) or the first row (kFirst)
  };

  // The model's forward pass on `forward`, all else on the runner's own context.
  engine::StepResult compute(const engine::StepPlan& plan, ops::Context& forward);
  void obey(const engine::AdapterOrder& order);
  void pack(const engine::StepPlan& plan);
  void add_logits_rows(const engine::StepSequence& sequence, int32_t index, int32_t row,
                       engine::SequenceResult& result);
  void pool(const engine::StepSequence& sequence, TensorView hidden,
            engine::SequenceResult& result);
  void choose(const engine::StepPlan& plan, TensorView hidden, engine::StepResult& result);
  // As many of `rows` as their memory allows, at least one.
  std::span<const LogitsRows> next_group(std::span<const LogitsRows> rows) const;
  void finish_rows(const engine::StepPlan& plan, const LogitsRows& rows, TensorView logits,
                   SamplerScratch& scratch, engine::SequenceResult& result);
  void choose_tokens(const engine::StepSequence& sequence, TensorView logits,
                     SamplerScratch& scratch, engine::SequenceResult& result);

  const models::Model& model_;
  const CpuRunnerOptions options_;
  ops::Context ctx_;
  adapters::AdapterStore* const store_;
  KvStorage kv_;
  std::vector<Slot> slots_;
  std::vector<SamplerScratch> scratch_;  // one a worker

  // The batch of the current step; kept for its memory.
  std::vector<int32_t> tokens_;
  std::vector<int32_t> positions_;
  std::vector<ops::KvSequence> sequences_;
  adapters::AdapterBatch batch_;
  std::vector<LogitsRows> rows_;
};

}  // namespace hearth::runner
