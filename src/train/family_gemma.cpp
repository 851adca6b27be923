// Gemma 2 and 3: norms before and after each branch that store weight - 1, a scaled embedding; 2
// has soft caps, 3 norms of heads and two bases of angles.
#include <cmath>

#include "io/json.h"
#include "models/gemma.h"
#include "train/families.h"
#include "train/family_parts.h"

namespace hearth::train {
namespace {

constexpr models::Sizes kGemma3Absent = {.heads = 8,
                                         .kv_heads = 4,
                                         .head_dim = models::kGemmaHeadDim,
                                         .vocabulary = 262208,
                                         .length = 131072};
constexpr int64_t kGemma3Pattern = 6;  // every sixth layer sees everything

LlamaParts gemma_parts(const models::Config& config, const models::Sizes& absent) {
  LlamaParts parts{config, models::read_sizes(config, absent)};
  parts.epsilon = static_cast<float>(config.number("rms_norm_eps", 1e-6));
  parts.norm_offset = 1.0f;
  parts.activation = models::read_activation(config, "hidden_activation", "gelu_pytorch_tanh");
  parts.qkv_bias = config.is_true("attention_bias") ? Bias::kStored : Bias::kNone;
  parts.out_bias = parts.qkv_bias;
  return parts;
}

LayerShape gemma_layer(const LlamaParts& parts, int64_t index) {
  const std::string at = layer_name(index);
  const nn::AttentionShape attention = models::gemma_attention_shape(parts.config, parts.sizes);
  LayerShape layer = parts.layer(index);
  layer.attention.scale = attention.scores.scale;
  layer.attention.after = parts.norm(at + "post_attention_layernorm");
  layer.mlp.before = parts.norm(at + "pre_feedforward_layernorm");
  layer.mlp.after = parts.norm(at + "post_feedforward_layernorm");
  return layer;
}

DecoderShape gemma_decoder(const LlamaParts& parts, io::Json& saved) {
  const bool tied = parts.config.is_not_false("tie_word_embeddings");
  complete(saved, {{"hidden_activation", "gelu_pytorch_tanh"},
                   {"head_dim", parts.sizes.head_dim},
                   {"num_key_value_heads", parts.sizes.kv_heads},
                   {"rms_norm_eps", 1e-6},
                   {"tie_word_embeddings", tied}});
  DecoderShape shape = parts.decoder(head_of(tied));
  shape.embedding_factor = std::sqrt(static_cast<float>(parts.sizes.hidden));
  return shape;
}

float cap_of(const models::Config& config, const char* key, double absent) {
  return static_cast<float>(models::soft_cap(config, key, absent));
}

}  // namespace

DecoderShape describe_gemma2(const models::Config& config, io::Json& saved) {
  const LlamaParts parts = gemma_parts(config, {.head_dim = models::kGemmaHeadDim});
  const models::Sizes& sizes = parts.sizes;
  const models::RopePlan plan =
      models::read_rope(config, {.head_dim = sizes.head_dim, .length = sizes.length});
  const std::vector<int32_t> windows =
      models::read_windows(config, sizes.layers, models::gemma_window(config),
                           [](int64_t layer) { return layer % 2 == 0; });
  DecoderShape shape = gemma_decoder(parts, saved);
  shape.context = plan.length;
  shape.ropes = {rope_shape(plan)};
  shape.logit_softcap = cap_of(config, "final_logit_softcapping", 30);
  for (int64_t i = 0; i < sizes.layers; ++i) {
    LayerShape& layer = shape.layers.emplace_back(gemma_layer(parts, i));
    layer.attention.window = windows[static_cast<size_t>(i)];
    layer.attention.softcap = cap_of(config, "attn_logit_softcapping", 50);
  }
  return shape;
}

DecoderShape describe_gemma3(const models::Config& config, io::Json& saved) {
  const LlamaParts parts = gemma_parts(config, kGemma3Absent);
  const models::Sizes& sizes = parts.sizes;
  const int64_t pattern =
      config.integer("sliding_window_pattern", 1, config.limits().layers_max, kGemma3Pattern);
  const models::RopePlan global = models::read_rope(config, {.head_dim = sizes.head_dim,
                                                             .length = sizes.length,
                                                             .default_theta = 1'000'000,
                                                             .layer_type = "full_attention"});
  const models::RopePlan local = models::read_rope(config, {.head_dim = sizes.head_dim,
                                                            .length = global.length,
                                                            .theta_key = "rope_local_base_freq",
                                                            .scaling_key = nullptr,
                                                            .layer_type = "sliding_attention"});
  const std::vector<int32_t> windows =
      models::read_windows(config, sizes.layers, models::gemma_window(config),
                           [&](int64_t layer) { return (layer + 1) % pattern != 0; });
  DecoderShape shape = gemma_decoder(parts, saved);
  shape.context = global.length;
  shape.ropes = {rope_shape(global), rope_shape(local)};
  shape.logit_softcap = cap_of(config, "final_logit_softcapping", 0);
  for (int64_t i = 0; i < sizes.layers; ++i) {
    AttentionShape& attention = shape.layers.emplace_back(gemma_layer(parts, i)).attention;
    const std::string at = layer_name(i) + "self_attn.";
    attention.window = windows[static_cast<size_t>(i)];
    attention.rope = attention.window > 0 ? 1 : 0;
    attention.softcap = cap_of(config, "attn_logit_softcapping", 0);
    attention.q_norm = parts.head_norm(at + "q_norm");
    attention.k_norm = parts.head_norm(at + "k_norm");
  }
  return shape;
}

}  // namespace hearth::train
