// GGUF files that cannot be served are refused with a text that says what to do; those in blocks
// are packed as the rule says.
#include "models/gguf.h"

#include <filesystem>
#include <gtest/gtest.h>

#include "base/error.h"
#include "io/file.h"
#include "models/gguf_export.h"
#include "models/test_checkpoint.h"

namespace hearth::models {
namespace {

std::string exported(const std::string& checkpoint, GgufExportType type) {
  const std::string path = testing::TempDir() + "models_gguf_test.gguf";
  const TestCheckpoint from = test_checkpoint(HEARTH_SOURCE_DIR, checkpoint);
  io::MemoryFiles files = from.files();
  io::GgufWriter writer;
  export_gguf(files, {.type = type, .name = checkpoint}, writer);
  writer.write(path);
  std::string file = io::read_file(path);
  std::filesystem::remove(path);
  return file;
}

std::unique_ptr<Model> load_file(const std::string& file, const LoadOptions& options = {}) {
  io::MemoryFiles files("m", {{io::kGgufFile, io::as_bytes(file)}});
  return load(files, options);
}

std::string error_of(const std::string& file) {
  try {
    load_file(file);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// The number of the type of a matrix in the table of tensors, replaced.
std::string with_type(std::string file, const std::string& tensor, char type) {
  const size_t name = file.find(tensor);
  EXPECT_NE(name, std::string::npos);
  file[name + tensor.size() + 4 + 2 * 8] = type;  // behind the rank and two dimensions
  return file;
}

TEST(GgufModel, ATypeThatIsNotReadIsNamedWithItsTensorAndTheCure) {
  const std::string file = exported("llama-gqa", GgufExportType::kF32);
  EXPECT_EQ(error_of(with_type(file, "blk.1.ffn_up.weight", 20)),
            "m/model.gguf: tensor 'model.layers.1.mlp.up_proj.weight' is IQ4_NL, which is not read "
            "here; take the same model as Q4_K_M, Q5_K_M, Q6_K, Q8_0 or BF16");
}

TEST(GgufModel, OtherArchitecturesAreNamed) {
  std::string file = exported("llama-gqa", GgufExportType::kF32);
  const std::string key = "general.architecture";
  file.replace(file.find(key) + key.size() + 12, 5, "mamba");
  EXPECT_EQ(error_of(file),
            "m/model.gguf: general.architecture is 'mamba'; supported are llama, qwen2, qwen3, "
            "phi2, phi3, gemma2, gemma3, gpt2, gptneox");
}

TEST(GgufModel, AMissingTensorIsNamed) {
  std::string file = exported("llama-gqa", GgufExportType::kF32);
  file.replace(file.find("blk.0.attn_v.weight"), 3, "blx");
  EXPECT_EQ(error_of(file),
            "m/model.gguf: tensor 'model.layers.0.self_attn.v_proj.weight' [16, 32] is missing");
}

// Q8_0 and Q4_0 are q8 and q4 as they stand; the head of a Q4_0 file is Q8_0.
TEST(GgufModel, BlocksArePackedWithoutLoss) {
  for (const auto& [type, format] : {std::pair{GgufExportType::kQ8_0, ops::WeightFormat::kQ8},
                                     std::pair{GgufExportType::kQ4_0, ops::WeightFormat::kQ4}}) {
    const std::string file = exported("qwen2", type);
    io::MemoryFiles files("m", {{io::kGgufFile, io::as_bytes(file)}});
    const auto model = load(files, {.threads = 2});
    const io::Gguf gguf = io::load_gguf(files);
    const nn::Projection& projection = model->projections.at(0);
    EXPECT_EQ(projection.weight.format, format);
    EXPECT_EQ(model->head_weight().format, ops::WeightFormat::kQ8);
    const io::StoredTensor& stored = gguf.tensors.at("blk.0.attn_q.weight");
    std::vector<float> want(static_cast<size_t>(projection.in)), got = want;
    const auto blocks = *ops::block_format(stored.dtype);
    const auto row_bytes = static_cast<size_t>(ops::block_row_bytes(blocks, projection.in));
    for (int64_t o = 0; o < projection.out; ++o) {
      ops::widen_blocks(blocks, stored.data.data() + static_cast<size_t>(o) * row_bytes,
                        projection.in, want.data());
      ops::read_row(projection.weight, o, got.data());
      EXPECT_EQ(got, want) << o;
    }
  }
}

TEST(GgufModel, ArithmeticInF32WidensEveryWeight) {
  const std::string file = exported("qwen2", GgufExportType::kQ4_0);
  const auto model = load_file(file, {.compute = ops::ComputeType::kF32});
  EXPECT_EQ(model->projections.at(0).weight.format, ops::WeightFormat::kF32);
  EXPECT_EQ(model->info.stored, "Q4_0");
}

TEST(GgufModel, RowsOfLlamaAreTurnedBackInPairs) {
  EXPECT_EQ(rotary_pair_order(1, 6), (std::vector<int64_t>{0, 2, 4, 1, 3, 5}));
  EXPECT_EQ(rotary_pair_order(2, 4), (std::vector<int64_t>{0, 2, 1, 3, 4, 6, 5, 7}));
}

TEST(GgufExport, WhatLlamaCppCannotHoldIsRefused) {
  const TestCheckpoint from = test_checkpoint(HEARTH_SOURCE_DIR, "phi-qk-layernorm-newer");
  io::MemoryFiles files = from.files();
  io::GgufWriter writer;
  try {
    export_gguf(files, {}, writer);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, ErrorCode::kUnsupported);
    EXPECT_NE(error.text.find("qk_layernorm"), std::string::npos);
  }
}

}  // namespace
}  // namespace hearth::models
