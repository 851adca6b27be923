// Phi-1, 1.5 and 2: one LayerNorm feeds attention and MLP side by side, part of each head turns,
// every projection has a bias.
#include "io/json.h"
#include "train/families.h"
#include "train/family_parts.h"

namespace hearth::train {
namespace {

LayerShape phi_layer(const LlamaParts& parts, const models::Config& config, int64_t index) {
  constexpr auto kEnds = LinearShape::Place::kEndsBranch;
  const models::Sizes& sizes = parts.sizes;
  const std::string at = layer_name(index);
  LayerShape layer = parts.layer(index);
  layer.residual = Residual::kParallel;
  AttentionShape& attention = layer.attention;
  attention.before = layer_norm(at + "input_layernorm", sizes.hidden, parts.epsilon);
  attention.out = linear(at + "self_attn.dense", sizes.hidden, sizes.heads * sizes.head_dim,
                         Bias::kStored, kEnds);
  if (config.is_true("qk_layernorm")) {
    attention.q_norm = layer_norm(at + "self_attn.q_layernorm", sizes.head_dim, parts.epsilon);
    attention.k_norm = layer_norm(at + "self_attn.k_layernorm", sizes.head_dim, parts.epsilon);
  }
  MlpShape& mlp = layer.mlp;
  mlp.gate = MlpShape::Gate::kPlain;
  mlp.before.reset();
  mlp.in = linear(at + "mlp.fc1", sizes.intermediate, sizes.hidden, Bias::kStored);
  mlp.out = linear(at + "mlp.fc2", sizes.hidden, sizes.intermediate, Bias::kStored, kEnds);
  return layer;
}

}  // namespace

DecoderShape describe_phi(const models::Config& config, io::Json& saved) {
  if (config.has("n_embd")) {
    config.refuse(
        "this is Phi in its first layout (phi-msft); take the repository's current revision, whose "
        "model_type is 'phi'");
  }
  if (config.is_true("tie_word_embeddings")) {
    config.refuse("tie_word_embeddings: Phi's head has a matrix and a bias of its own");
  }
  LlamaParts parts{config, models::read_sizes(config)};
  parts.epsilon = static_cast<float>(config.number("layer_norm_eps", 1e-5));
  parts.activation = models::read_activation(config, "hidden_act", "gelu_new");
  parts.qkv_bias = Bias::kStored;
  const models::RopePlan plan = models::read_rope(
      config,
      {.head_dim = parts.sizes.head_dim, .length = parts.sizes.length, .default_partial = 0.5});
  complete(saved, {{"hidden_act", "gelu_new"},
                   {"num_key_value_heads", parts.sizes.kv_heads},
                   {"layer_norm_eps", 1e-5},
                   {"tie_word_embeddings", false}});
  DecoderShape shape = parts.decoder(LlamaParts::Head::kOwn);
  shape.context = plan.length;
  shape.ropes = {rope_shape(plan)};
  shape.norm = layer_norm("model.final_layernorm", parts.sizes.hidden, parts.epsilon);
  shape.head->bias = Bias::kStored;
  for (int64_t i = 0; i < parts.sizes.layers; ++i) {
    shape.layers.push_back(phi_layer(parts, config, i));
  }
  return shape;
}

}  // namespace hearth::train
