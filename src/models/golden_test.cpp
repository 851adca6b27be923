// Every family and config variant against what transformers computed for the same weights.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <gtest/gtest.h>
#include <numeric>
#include <set>

#include "backend/cpu/cpu_backend.h"
#include "base/error.h"
#include "io/gguf.h"
#include "models/gguf_export.h"
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

// The largest difference of any golden logit of the checkpoint.
float worst_difference(backend::cpu::Backend& backend, const Model& model,
                       const TestCheckpoint& checkpoint) {
  const std::vector<int32_t> tokens = checkpoint.tokens();
  std::vector<int32_t> positions(tokens.size());
  std::iota(positions.begin(), positions.end(), 0);
  Pages pages(model.info, tokens.size());
  const ops::KvSequence sequence{0, static_cast<int32_t>(tokens.size()), 0, pages.table.data()};
  ops::Context ctx = backend.context();
  ctx.arena.reset();
  nn::Pass pass{ctx, tokens, positions, {&sequence, 1}, pages.cache};
  const TensorView logits = model.logits(ctx, model.forward(pass));
  float worst = 0;
  for (const auto& [position, want] : checkpoint.logits()) {
    if (static_cast<size_t>(logits.cols()) != want.size()) return INFINITY;
    worst = std::max(worst, difference(logits.row<float>(position), want));
  }
  return worst;
}

TEST(Golden, LogitsOfEveryFamilyAreThoseOfTransformers) {
  backend::cpu::Backend backend({.threads = 1});
  float worst_of_all = 0;
  for (const TestCheckpoint& checkpoint : test_checkpoints(HEARTH_SOURCE_DIR)) {
    SCOPED_TRACE(checkpoint.name());
    io::MemoryFiles files = checkpoint.files();
    const auto model = load(files, checkpoint.options());
    const float worst = worst_difference(backend, *model, checkpoint);
    EXPECT_LT(worst, kRelativeTolerance);
    worst_of_all = std::max(worst_of_all, worst);
  }
  std::printf("largest relative difference of a logit: %.2g\n", static_cast<double>(worst_of_all));
}

// Out to a GGUF file and in again: names, keys and the order of rows survive.
TEST(Golden, TheSameThroughAGgufFile) {
  backend::cpu::Backend backend({.threads = 1});
  const std::string path = testing::TempDir() + "golden_test.gguf";
  std::set<std::string> families;
  for (const TestCheckpoint& checkpoint : test_checkpoints(HEARTH_SOURCE_DIR)) {
    SCOPED_TRACE(checkpoint.name());
    io::MemoryFiles files = checkpoint.files();
    io::GgufWriter writer;
    ModelInfo info;
    try {
      info = export_gguf(files, {.type = GgufExportType::kF32, .name = checkpoint.name()}, writer);
    } catch (const Error& error) {
      EXPECT_EQ(error.code, ErrorCode::kUnsupported) << error.what();
      continue;  // llama.cpp cannot hold this variant
    }
    const bool qwen = info.model_type.starts_with("qwen");
    const bool slides =
        std::any_of(info.windows.begin(), info.windows.end(), [](int32_t w) { return w > 0; });
    if (qwen && slides) continue;          // the format has no window for them; the export warns
    if (info.rope == "dynamic") continue;  // ... nor a rule for texts beyond the trained length
    writer.write(path);
    io::GgufFile gguf(path);
    const auto model = load(gguf, checkpoint.options());
    EXPECT_LT(worst_difference(backend, *model, checkpoint), kRelativeTolerance);
    families.insert(info.model_type);
  }
  std::filesystem::remove(path);
  EXPECT_GE(families.size(), 10u);
}

}  // namespace
}  // namespace hearth::models
