// Every family and config variant against what transformers computed for the same weights.
#include <cmath>
#include <gtest/gtest.h>
#include <numeric>

#include "backend/cpu/cpu_backend.h"
#include "models/test_checkpoint.h"

namespace hearth::models {
namespace {

// Both sides sum in f32, in different orders.
constexpr float kRelativeTolerance = 1e-4f;

// Pages for one sequence of `tokens` tokens, its blocks in reverse.
struct Pages {
  Pages(const ModelInfo& info, size_t tokens) {
    const int64_t blocks = static_cast<int64_t>(tokens) / ops::kKvBlockTokens + 1;
    for (int64_t i = blocks; i-- > 0;) table.push_back(static_cast<int32_t>(i));
    for (int64_t i = 0; i < info.layers; ++i) {
      memory.push_back(
          Tensor::zeros(DType::kF32, {blocks, info.kv_heads, info.head_dim, ops::kKvBlockTokens}));
      const TensorView keys = memory.back();
      memory.push_back(
          Tensor::zeros(DType::kF32, {blocks, info.kv_heads, ops::kKvBlockTokens, info.head_dim}));
      cache.layers.push_back({keys, memory.back(), info.kv_heads, info.head_dim});
    }
  }
  std::vector<Tensor> memory;
  std::vector<int32_t> table;
  nn::KvCache cache;
};

// The largest difference, over the largest logit of the row.
float difference(const float* got, const std::vector<float>& want) {
  float worst = 0;
  float largest = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    if (!std::isfinite(got[i])) return INFINITY;
    worst = std::max(worst, std::abs(got[i] - want[i]));
    largest = std::max(largest, std::abs(want[i]));
  }
  return worst / largest;
}

TEST(Golden, LogitsOfEveryFamilyAreThoseOfTransformers) {
  backend::cpu::Backend backend({.threads = 1});
  float worst_of_all = 0;
  for (const TestCheckpoint& checkpoint : test_checkpoints(HEARTH_SOURCE_DIR)) {
    SCOPED_TRACE(checkpoint.name());
    io::MemoryFiles files = checkpoint.files();
    const auto model = load(files, checkpoint.options());
    const std::vector<int32_t> tokens = checkpoint.tokens();
    std::vector<int32_t> positions(tokens.size());
    std::iota(positions.begin(), positions.end(), 0);
    Pages pages(model->info, tokens.size());
    const ops::KvSequence sequence{0, static_cast<int32_t>(tokens.size()), 0, pages.table.data()};
    ops::Context ctx = backend.context();
    ctx.arena.reset();
    nn::Pass pass{ctx, tokens, positions, {&sequence, 1}, pages.cache};
    const TensorView logits = model->logits(ctx, model->forward(pass));
    float worst = 0;
    for (const auto& [position, want] : checkpoint.logits()) {
      ASSERT_EQ(static_cast<size_t>(logits.cols()), want.size());
      worst = std::max(worst, difference(logits.row<float>(position), want));
    }
    EXPECT_LT(worst, kRelativeTolerance);
    worst_of_all = std::max(worst_of_all, worst);
  }
  std::printf("largest relative difference of a logit: %.2g\n", static_cast<double>(worst_of_all));
}

}  // namespace
}  // namespace hearth::models
