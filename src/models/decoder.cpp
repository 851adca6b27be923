#include "models/decoder.h"

#include <cmath>

namespace hearth::models {

void find_llama_root(Weights& weights) {
  weights.find_root("embed_tokens.weight",
                    {"model.", "", "language_model.model.", "model.language_model."});
}

std::vector<int32_t> read_qwen_windows(const Config& config, int64_t layers) {
  const ConfigLimits& limits = config.limits();
  const bool slides = config.is_true("use_sliding_window");
  const int64_t window =
      slides ? config.integer_or_off("sliding_window", limits.length_max, 4096) : 0;
  const int64_t first = config.integer("max_window_layers", 0, limits.layers_max, 28);
  return read_windows(config, layers, window, [&](int64_t layer) { return layer >= first; });
}

Bias read_bias(const Config& config, const char* key) {
  return config.is_true(key) ? Bias::kStored : Bias::kNone;
}

nn::AttentionShape attention_shape(const Sizes& sizes) {
  nn::AttentionShape shape;
  shape.heads = sizes.heads;
  shape.kv_heads = sizes.kv_heads;
  shape.head_dim = sizes.head_dim;
  shape.scores.scale = 1.0f / std::sqrt(static_cast<float>(sizes.head_dim));
  return shape;
}

nn::Attention load_attention(Weights& weights, const std::string& at, const Sizes& sizes,
                             const nn::AttentionShape& shape, AttentionBias bias) {
  const std::string name = at + "self_attn.";
  nn::Attention attention;
  attention.shape = shape;
  attention.q =
      weights.linear(Part::kAttention, name + "q_proj", shape.q_size(), sizes.hidden, bias.qkv);
  attention.k =
      weights.linear(Part::kAttention, name + "k_proj", shape.kv_size(), sizes.hidden, bias.qkv);
  attention.v =
      weights.linear(Part::kAttention, name + "v_proj", shape.kv_size(), sizes.hidden, bias.qkv);
  attention.out =
      weights.linear(Part::kAttention, name + "o_proj", sizes.hidden, shape.q_size(), bias.out);
  return attention;
}

nn::GatedMlp load_gated_mlp(Weights& weights, const std::string& at, const Sizes& sizes,
                            ops::Activation activation, Bias bias) {
  const std::string name = at + "mlp.";
  nn::GatedMlp mlp;
  mlp.gate = weights.linear(Part::kMlp, name + "gate_proj", sizes.intermediate, sizes.hidden, bias);
  mlp.up = weights.linear(Part::kMlp, name + "up_proj", sizes.intermediate, sizes.hidden, bias);
  mlp.down = weights.linear(Part::kMlp, name + "down_proj", sizes.hidden, sizes.intermediate, bias);
  mlp.activation = activation;
  return mlp;
}

nn::Linear load_lm_head(Weights& weights, const Sizes& sizes, Bias bias) {
  return weights.head("lm_head", sizes.vocabulary, sizes.hidden, bias);
}

}  // namespace hearth::models
