#include "train/family_parts.h"

#include <cmath>

#include "io/json.h"

namespace hearth::train {

void complete(io::Json& saved, const io::Json& defaults) {
  for (const auto& [key, value] : defaults.items()) {
    if (!saved.contains(key)) saved[key] = value;
  }
}

RopeShape rope_shape(const models::RopePlan& plan) {
  RopeShape shape;
  shape.scale = plan.rope.scale;
  const auto half = static_cast<double>(plan.rope.inverse_frequency.size());
  for (size_t i = 0; i < plan.rope.inverse_frequency.size(); ++i) {
    // Scaled angles are in f32, as the models that use them were trained; plain ones exact.
    shape.inverse_frequency.push_back(
        plan.rule == "default" ? std::pow(plan.theta, -2.0 * static_cast<double>(i) / (2.0 * half))
                               : double{plan.rope.inverse_frequency[i]});
  }
  return shape;
}

NormShape rms_norm(const std::string& name, int64_t n, float epsilon, float offset) {
  return {.name = name, .n = n, .epsilon = epsilon, .offset = offset};
}

NormShape layer_norm(const std::string& name, int64_t n, float epsilon) {
  return {.name = name, .kind = ops::NormKind::kLayer, .n = n, .epsilon = epsilon};
}

LinearShape linear(const std::string& name, int64_t out, int64_t in, Bias bias,
                   LinearShape::Place place) {
  return {.pieces = {{name, out}}, .in = in, .bias = bias, .place = place};
}

std::string layer_name(int64_t index) { return "model.layers." + std::to_string(index) + "."; }

LinearShape split_qkv(const std::string& at, const models::Sizes& sizes, Bias bias) {
  return {.pieces = {{at + "q_proj", sizes.heads * sizes.head_dim},
                     {at + "k_proj", sizes.kv_heads * sizes.head_dim},
                     {at + "v_proj", sizes.kv_heads * sizes.head_dim}},
          .in = sizes.hidden,
          .bias = bias};
}

NormShape LlamaParts::norm(const std::string& name) const {
  return rms_norm(name, sizes.hidden, epsilon, norm_offset);
}

NormShape LlamaParts::head_norm(const std::string& name) const {
  return rms_norm(name, sizes.head_dim, epsilon, norm_offset);
}

LayerShape LlamaParts::layer(int64_t index) const {
  constexpr auto kEnds = LinearShape::Place::kEndsBranch;
  const std::string at = layer_name(index);
  LayerShape layer;
  AttentionShape& attention = layer.attention;
  attention.heads = sizes.heads;
  attention.kv_heads = sizes.kv_heads;
  attention.head_dim = sizes.head_dim;
  attention.scale = 1.0f / std::sqrt(static_cast<float>(sizes.head_dim));
  attention.rope = 0;
  attention.before = norm(at + "input_layernorm");
  attention.qkv = split_qkv(at + "self_attn.", sizes, qkv_bias);
  attention.out =
      linear(at + "self_attn.o_proj", sizes.hidden, sizes.heads * sizes.head_dim, out_bias, kEnds);
  MlpShape& mlp = layer.mlp;
  mlp.activation = activation;
  mlp.intermediate = sizes.intermediate;
  mlp.before = norm(at + "post_attention_layernorm");
  mlp.in = {.pieces = {{at + "mlp.gate_proj", sizes.intermediate},
                       {at + "mlp.up_proj", sizes.intermediate}},
            .in = sizes.hidden,
            .bias = mlp_bias};
  mlp.out = linear(at + "mlp.down_proj", sizes.hidden, sizes.intermediate, mlp_bias, kEnds);
  return layer;
}

DecoderShape LlamaParts::decoder(Head head) const {
  DecoderShape shape;
  shape.vocab_size = sizes.vocabulary;
  shape.hidden_size = sizes.hidden;
  shape.context = sizes.length;
  shape.embedding = "model.embed_tokens";
  shape.norm = norm("model.norm");
  if (head == Head::kOwn) {
    shape.head = linear("lm_head", sizes.vocabulary, sizes.hidden, Bias::kNone);
  }
  return shape;
}

DecoderShape LlamaParts::decoder(Head head, const models::RopePlan& plan,
                                 const std::vector<int32_t>& windows) const {
  DecoderShape shape = decoder(head);
  shape.context = plan.length;
  shape.ropes = {rope_shape(plan)};
  for (int64_t i = 0; i < sizes.layers; ++i) {
    shape.layers.push_back(layer(i));
    shape.layers.back().attention.window = windows[static_cast<size_t>(i)];
  }
  return shape;
}

}  // namespace hearth::train
