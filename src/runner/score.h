// How much of a surprise each token of a text is to a model: what perplexity is made of.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "models/model.h"
#include "ops/context.h"
#include "runner/kv_storage.h"
#include "runner/logit_row.h"

namespace hearth::runner {

// One thread uses it. The model outlives it.
class TextScorer {
 public:
  // Texts have at most `tokens_max` tokens. kv_dtype as in CpuRunnerOptions.
  TextScorer(const models::Model& model, const ops::Context& ctx, std::optional<DType> kv_dtype,
             int64_t tokens_max);

  // -log p of each token but the first, given those before it, in nats: [tokens - 1].
  std::vector<float> losses(std::span<const int32_t> tokens);

 private:
  void add_losses(TensorView hidden, std::span<const int32_t> next, std::span<float> losses);

  const models::Model& model_;
  ops::Context ctx_;
  KvStorage kv_;
  std::vector<int32_t> blocks_;
  std::vector<RowWeights> weights_;  // one a worker
};

}  // namespace hearth::runner
