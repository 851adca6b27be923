// GPT-NeoX and Pythia: attention and MLP side by side, each with a LayerNorm of its own; part of
// each head turns; one projection holds q, k and v of head 0, then of head 1, ...
#include <cmath>

#include "io/json.h"
#include "train/families.h"
#include "train/family_parts.h"

namespace hearth::train {
namespace {

LayerShape neox_layer(const models::Config& config, const models::Sizes& sizes, int64_t index) {
  constexpr auto kEnds = LinearShape::Place::kEndsBranch;
  const auto epsilon = static_cast<float>(config.number("layer_norm_eps", 1e-5));
  const Bias bias = config.is_not_false("attention_bias") ? Bias::kStored : Bias::kNone;
  const std::string at = "gpt_neox.layers." + std::to_string(index) + ".";
  LayerShape layer;
  layer.residual =
      config.is_not_false("use_parallel_residual") ? Residual::kParallel : Residual::kSerial;
  LinearShape qkv = linear(at + "attention.query_key_value", 3 * sizes.heads * sizes.head_dim,
                           sizes.hidden, bias);
  qkv.pieces[0].layout = PieceLayout::kHeadByHead;
  qkv.pieces[0].heads = sizes.heads;
  layer.attention = {
      .heads = sizes.heads,
      .kv_heads = sizes.heads,
      .head_dim = sizes.head_dim,
      .scale = 1.0f / std::sqrt(static_cast<float>(sizes.head_dim)),
      .rope = 0,
      .before = layer_norm(at + "input_layernorm", sizes.hidden, epsilon),
      .qkv = qkv,
      .out = linear(at + "attention.dense", sizes.hidden, sizes.hidden, bias, kEnds)};
  layer.mlp = {
      .gate = MlpShape::Gate::kPlain,
      .activation = models::read_activation(config, "hidden_act", "gelu"),
      .intermediate = sizes.intermediate,
      .before = layer_norm(at + "post_attention_layernorm", sizes.hidden, epsilon),
      .in = linear(at + "mlp.dense_h_to_4h", sizes.intermediate, sizes.hidden, Bias::kStored),
      .out =
          linear(at + "mlp.dense_4h_to_h", sizes.hidden, sizes.intermediate, Bias::kStored, kEnds)};
  return layer;
}

}  // namespace

DecoderShape describe_gpt_neox(const models::Config& config, io::Json& saved) {
  const models::Sizes sizes = models::read_sizes(config);
  const models::RopePlan plan = models::read_rope(config, {.head_dim = sizes.head_dim,
                                                           .length = sizes.length,
                                                           .default_partial = 0.25,
                                                           .theta_key = "rotary_emb_base",
                                                           .partial_key = "rotary_pct"});
  const bool tied = config.is_true("tie_word_embeddings");
  complete(saved,
           {{"hidden_act", "gelu"}, {"layer_norm_eps", 1e-5}, {"tie_word_embeddings", tied}});
  DecoderShape shape;
  shape.vocab_size = sizes.vocabulary;
  shape.hidden_size = sizes.hidden;
  shape.context = plan.length;
  shape.embedding = "gpt_neox.embed_in";
  shape.ropes = {rope_shape(plan)};
  for (int64_t i = 0; i < sizes.layers; ++i) shape.layers.push_back(neox_layer(config, sizes, i));
  shape.norm = layer_norm("gpt_neox.final_layer_norm", sizes.hidden,
                          static_cast<float>(config.number("layer_norm_eps", 1e-5)));
  if (!tied) shape.head = linear("embed_out", sizes.vocabulary, sizes.hidden, Bias::kNone);
  return shape;
}

}  // namespace hearth::train
