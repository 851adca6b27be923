// A decoder of random weights in Llama's form, for questions of speed: no file, no download.
#pragma once

#include <cmath>
#include <cstdint>
#include <fmt/format.h>
#include <functional>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "io/file_source.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "models/model.h"

namespace hearth::bench {

struct LlamaShape {
  int64_t hidden = 0;  // a multiple of 64, the width of a head
  int64_t layers = 0;
  int64_t vocabulary = 0;
  int64_t inner() const { return hidden * 11 / 4 / 64 * 64; }
};

// Evenly spread around zero with about this standard deviation; four numbers of each random word.
inline std::vector<uint16_t> random_bf16(Random& random, int64_t count, float deviation) {
  std::vector<uint16_t> bits(static_cast<size_t>(count));
  for (size_t i = 0; i < bits.size(); i += 4) {
    uint64_t word = random.next();
    for (size_t j = i; j < std::min(bits.size(), i + 4); ++j, word >>= 16) {
      const float unit = static_cast<float>(word & 0xffff) / 32768.0f - 1.0f;
      bits[j] = bf16_from_float(unit * 1.7f * deviation);
    }
  }
  return bits;
}

using TensorShape = std::pair<std::string, std::vector<int64_t>>;

inline std::vector<TensorShape> llama_tensors(const LlamaShape& of) {
  std::vector<TensorShape> shapes = {{"model.embed_tokens.weight", {of.vocabulary, of.hidden}},
                                     {"model.norm.weight", {of.hidden}}};
  for (int64_t i = 0; i < of.layers; ++i) {
    const std::string at = fmt::format("model.layers.{}.", i);
    for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"}) {
      shapes.push_back({at + "self_attn." + name + ".weight", {of.hidden, of.hidden}});
    }
    shapes.push_back({at + "mlp.gate_proj.weight", {of.inner(), of.hidden}});
    shapes.push_back({at + "mlp.up_proj.weight", {of.inner(), of.hidden}});
    shapes.push_back({at + "mlp.down_proj.weight", {of.hidden, of.inner()}});
    shapes.push_back({at + "input_layernorm.weight", {of.hidden}});
    shapes.push_back({at + "post_attention_layernorm.weight", {of.hidden}});
  }
  return shapes;
}

inline std::string llama_config(const LlamaShape& of) {
  return io::Json{{"model_type", "llama"},          {"architectures", {"LlamaForCausalLM"}},
                  {"hidden_size", of.hidden},       {"intermediate_size", of.inner()},
                  {"num_hidden_layers", of.layers}, {"num_attention_heads", of.hidden / 64},
                  {"vocab_size", of.vocabulary},    {"max_position_embeddings", 2048},
                  {"tie_word_embeddings", true}}
      .dump();
}

inline std::string llama_weights(const LlamaShape& of) {
  Random random(1);
  std::vector<std::vector<uint16_t>> data;
  std::vector<io::TensorToStore> tensors;
  for (const auto& [name, shape] : llama_tensors(of)) {
    const int64_t count =
        std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies());
    const bool matrix = shape.size() == 2;
    data.push_back(matrix ? random_bf16(random, count, 1 / std::sqrt(static_cast<float>(shape[1])))
                          : std::vector<uint16_t>(static_cast<size_t>(count), bf16_from_float(1)));
    tensors.push_back({name, "BF16", shape, std::as_bytes(std::span(data.back()))});
  }
  return io::build_safetensors(tensors);
}

// The model looks into the weights, which stay.
struct RandomLlama {
  std::unique_ptr<const std::string> weights;
  std::unique_ptr<models::Model> model;
};

inline RandomLlama random_llama(const LlamaShape& shape) {
  RandomLlama made{std::make_unique<const std::string>(llama_weights(shape)), nullptr};
  const std::string config = llama_config(shape);
  const auto bytes = [](const std::string& text) { return std::as_bytes(std::span(text)); };
  io::MemoryFiles files(
      "random", {{"config.json", bytes(config)}, {"model.safetensors", bytes(*made.weights)}});
  made.model = models::load(files);
  return made;
}

}  // namespace hearth::bench
