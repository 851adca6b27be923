#include "models/gemma.h"

#include <cmath>

namespace hearth::models {

void GemmaLayer::forward(nn::Pass& pass, TensorView x, const nn::Angles& angles,
                         const ops::KvPages& pages) const {
  const TensorView seen = attention.forward(pass, before_attention.deferred(x), angles, pages);
  nn::add(pass, after_attention.forward(pass, seen), x);
  const TensorView thought = mlp.forward(pass, before_mlp.deferred(x));
  nn::add(pass, after_mlp.forward(pass, thought), x);
}

double soft_cap(const Config& config, const char* key, double absent) {
  const double cap = config.is_off(key) ? 0 : config.number(key, absent);
  if (cap < 0) config.refuse(fmt::format("field '{}' is {}; it must not be below 0", key, cap));
  return cap;
}

int64_t gemma_window(const Config& config) {
  return config.integer_or_off("sliding_window", config.limits().length_max, 4096);
}

nn::AttentionShape gemma_attention_shape(const Config& config, const Sizes& sizes) {
  const double scalar = config.number("query_pre_attn_scalar", 256);
  if (!(scalar > 0)) {
    config.refuse(fmt::format("query_pre_attn_scalar is {}; it must be above 0", scalar));
  }
  if (config.is_true("use_bidirectional_attention")) {
    config.refuse("use_bidirectional_attention: only causal models are supported");
  }
  nn::AttentionShape shape = attention_shape(sizes);
  shape.scores.scale = static_cast<float>(1 / std::sqrt(scalar));
  return shape;
}

nn::RmsNorm gemma_norm(const Config& config, Weights& weights, const std::string& name, int64_t n) {
  return weights.rms_norm(name, n, static_cast<float>(config.number("rms_norm_eps", 1e-6)), 1);
}

GemmaLayer load_gemma_layer(const Config& config, Weights& weights, const std::string& at,
                            const Sizes& sizes, const nn::AttentionShape& shape) {
  const Bias bias = read_bias(config, "attention_bias");
  // Older files state hidden_act as well, which the authors' code ignores.
  const ops::Activation activation =
      read_activation(config, "hidden_activation", "gelu_pytorch_tanh");
  const auto norm = [&](const char* name) {
    return gemma_norm(config, weights, at + name, sizes.hidden);
  };
  GemmaLayer layer;
  layer.before_attention = norm("input_layernorm");
  layer.attention = load_attention(weights, at, sizes, shape, {bias, bias});
  layer.after_attention = norm("post_attention_layernorm");
  layer.before_mlp = norm("pre_feedforward_layernorm");
  layer.mlp = load_gated_mlp(weights, at, sizes, activation, Bias::kNone);
  layer.after_mlp = norm("post_feedforward_layernorm");
  return layer;
}

}  // namespace hearth::models
