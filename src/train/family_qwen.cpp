// Qwen 2 (biases on queries, keys and values) and Qwen 3 (a norm over each head of queries and
// keys); the upper layers may slide.
#include "io/json.h"
#include "models/decoder.h"
#include "train/families.h"
#include "train/family_parts.h"

namespace hearth::train {
namespace {

constexpr int64_t kQwen3HeadDim = 128;  // of a file without head_dim

DecoderShape finish(const LlamaParts& parts, const models::Config& config, io::Json& saved) {
  const models::RopePlan plan =
      models::read_rope(config, {.head_dim = parts.sizes.head_dim, .length = parts.sizes.length});
  const bool tied = config.is_true("tie_word_embeddings");
  complete(saved, {{"hidden_act", "silu"},
                   {"head_dim", parts.sizes.head_dim},
                   {"num_key_value_heads", parts.sizes.kv_heads},
                   {"rms_norm_eps", 1e-6},
                   {"tie_word_embeddings", tied}});
  return parts.decoder(head_of(tied), plan, models::read_qwen_windows(config, parts.sizes.layers));
}

LlamaParts read_parts(const models::Config& config, const models::Sizes& absent) {
  LlamaParts parts{config, models::read_sizes(config, absent)};
  parts.epsilon = static_cast<float>(config.number("rms_norm_eps", 1e-6));
  parts.activation = models::read_activation(config, "hidden_act", "silu");
  return parts;
}

}  // namespace

DecoderShape describe_qwen2(const models::Config& config, io::Json& saved) {
  LlamaParts parts = read_parts(config, {});
  parts.qkv_bias = Bias::kStored;
  return finish(parts, config, saved);
}

DecoderShape describe_qwen3(const models::Config& config, io::Json& saved) {
  LlamaParts parts = read_parts(config, {.head_dim = kQwen3HeadDim});
  parts.qkv_bias = config.is_true("attention_bias") ? Bias::kStored : Bias::kNone;
  parts.out_bias = parts.qkv_bias;
  DecoderShape shape = finish(parts, config, saved);
  for (size_t i = 0; i < shape.layers.size(); ++i) {
    const std::string at = layer_name(static_cast<int64_t>(i)) + "self_attn.";
    shape.layers[i].attention.q_norm = parts.head_norm(at + "q_norm");
    shape.layers[i].attention.k_norm = parts.head_norm(at + "k_norm");
  }
  return shape;
}

}  // namespace hearth::train
