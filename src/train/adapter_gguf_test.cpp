#include "train/adapter_gguf.h"

#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>

#include "base/error.h"
#include "io/file.h"
#include "io/gguf.h"
#include "io/json.h"

namespace hearth::train {
namespace {

// B[i][r] = 10 i + r, so that a row tells where it came from.
adapters::AdapterModule module(const std::string& name, int64_t out, int64_t in, int64_t rank) {
  adapters::AdapterModule m;
  m.name = name;
  m.rank = rank;
  m.a = Tensor::zeros(DType::kF32, {rank, in});
  m.b = Tensor(DType::kF32, {out, rank});
  for (int64_t i = 0; i < out; ++i) {
    for (int64_t r = 0; r < rank; ++r) m.b->row<float>(i)[r] = static_cast<float>(10 * i + r);
  }
  return m;
}

const io::Json kLlama = {
    {"model_type", "llama"}, {"num_attention_heads", 2}, {"num_key_value_heads", 1}};

class AdapterGguf : public testing::Test {
 protected:
  AdapterGguf() : path_(testing::TempDir() + "hearth-adapter.gguf") {}
  ~AdapterGguf() override { std::filesystem::remove(path_); }

  void write(const adapters::Adapter& adapter, const io::Json& config) {
    io::GgufWriter writer;
    export_adapter_gguf(adapter, config, "config.json", writer);
    writer.write(path_);
  }
  // The first column of a matrix of `rank` columns.
  std::vector<float> column(const std::string& name, int64_t rank) {
    const std::string bytes = io::read_file(path_);
    const auto file = io::parse_gguf(std::as_bytes(std::span(bytes)), path_);
    const auto& data = file.tensors.at(name).data;
    std::vector<float> values;
    for (size_t at = 0; at < data.size(); at += static_cast<size_t>(rank) * sizeof(float)) {
      float value = 0;
      std::memcpy(&value, data.data() + at, sizeof value);
      values.push_back(value);
    }
    return values;
  }

  std::string path_;
};

TEST_F(AdapterGguf, RowsOfQAndKFollowTheFormat) {
  adapters::Adapter adapter;
  adapter.config.lora_alpha = 4;
  adapter.modules.push_back(module("model.layers.3.self_attn.q_proj", 8, 6, 2));
  adapter.modules.push_back(module("model.layers.3.mlp.down_proj", 6, 5, 2));
  adapter.modules[0].scale = adapter.modules[1].scale = 2;
  write(adapter, kLlama);
  // Heads of four rows: halves (0 1 | 2 3) become pairs (0 2) (1 3).
  EXPECT_EQ(column("blk.3.attn_q.weight.lora_b", 2),
            (std::vector<float>{0, 20, 10, 30, 40, 60, 50, 70}));
  EXPECT_EQ(column("blk.3.ffn_down.weight.lora_b", 2), (std::vector<float>{0, 10, 20, 30, 40, 50}));
}

TEST_F(AdapterGguf, AScaleThatAlphaDoesNotGiveGoesIntoB) {
  adapters::Adapter adapter;
  adapter.config.lora_alpha = 4;
  adapter.modules.push_back(module("model.layers.0.mlp.up_proj", 2, 6, 2));
  adapter.modules[0].scale = 6;  // llama.cpp takes 4 / 2
  write(adapter, kLlama);
  EXPECT_EQ(column("blk.0.ffn_up.weight.lora_b", 2), (std::vector<float>{0, 30}));
}

TEST_F(AdapterGguf, FusedHeadsOfNeoxBecomeQThenKThenV) {
  adapters::Adapter adapter;
  adapter.config.lora_alpha = 1;
  adapter.modules.push_back(module("gpt_neox.layers.0.attention.query_key_value", 12, 4, 1));
  write(adapter, {{"model_type", "gpt_neox"}, {"num_attention_heads", 2}});
  EXPECT_EQ(column("blk.0.attn_qkv.weight.lora_b", 1),
            (std::vector<float>{0, 10, 60, 70, 20, 30, 80, 90, 40, 50, 100, 110}));
}

TEST_F(AdapterGguf, RefusesWhatTheFormatCannotHold) {
  adapters::Adapter adapter;
  adapter.modules.push_back(module("model.layers.0.strange", 2, 6, 2));
  EXPECT_THROW(write(adapter, kLlama), Error);
  adapter.modules[0].name = "model.layers.0.mlp.up_proj";
  EXPECT_THROW(write(adapter, {{"model_type", "t5"}}), Error);
  adapter.config.use_dora = true;
  EXPECT_THROW(write(adapter, kLlama), Error);
}

}  // namespace
}  // namespace hearth::train
