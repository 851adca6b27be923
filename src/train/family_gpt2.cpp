// GPT-2: learned positions, LayerNorm, a plain MLP, weights stored as [in, out].
#include <cmath>

#include "base/error.h"
#include "io/json.h"
#include "train/families.h"
#include "train/family_parts.h"

namespace hearth::train {
namespace {

// The names that a run from random weights may use (model.hidden_size, ...), and the file's.
constexpr const char* kNames[][2] = {{"hidden_size", "n_embd"},
                                     {"num_hidden_layers", "n_layer"},
                                     {"num_attention_heads", "n_head"},
                                     {"intermediate_size", "n_inner"},
                                     {"max_position_embeddings", "n_positions"}};

models::Sizes gpt2_sizes(const models::Config& config) {
  const models::ConfigLimits& limits = config.limits();
  const auto read = [&](size_t name, int64_t max) {
    const char* key = config.has(kNames[name][0]) ? kNames[name][0] : kNames[name][1];
    return config.integer(key, 1, max);
  };
  models::Sizes sizes;
  sizes.hidden = read(0, limits.width_max);
  sizes.layers = read(1, limits.layers_max);
  sizes.heads = read(2, limits.heads_max);
  sizes.intermediate = config.has(kNames[3][0]) || config.has(kNames[3][1])
                           ? read(3, limits.width_max)
                           : 4 * sizes.hidden;
  sizes.length = read(4, limits.length_max);
  sizes.kv_heads = sizes.heads;
  sizes.vocabulary = config.integer("vocab_size", 1, limits.vocabulary_max);
  if (sizes.hidden % sizes.heads != 0) {
    throw_error(ErrorCode::kInvalidArgument, config.where(),
                "n_embd {} is not a multiple of n_head {}", sizes.hidden, sizes.heads);
  }
  sizes.head_dim = sizes.hidden / sizes.heads;
  models::check_sizes(config, sizes);
  return sizes;
}

LinearShape conv1d(const std::string& name, int64_t out, int64_t in,
                   LinearShape::Place place = LinearShape::Place::kInside) {
  LinearShape shape = linear(name, out, in, Bias::kStored, place);
  shape.pieces[0].layout = PieceLayout::kTransposed;
  return shape;
}

float score_scale(const models::Config& config, const models::Sizes& sizes, int64_t layer) {
  const double all = config.is_not_false("scale_attn_weights")
                         ? 1 / std::sqrt(static_cast<double>(sizes.head_dim))
                         : 1.0;
  const bool by_depth = config.is_true("scale_attn_by_inverse_layer_idx");
  return static_cast<float>(by_depth ? all / static_cast<double>(layer + 1) : all);
}

LayerShape gpt2_layer(const models::Config& config, const models::Sizes& sizes, int64_t index) {
  constexpr auto kEnds = LinearShape::Place::kEndsBranch;
  const auto epsilon = static_cast<float>(config.number("layer_norm_epsilon", 1e-5));
  const std::string at = "transformer.h." + std::to_string(index) + ".";
  LayerShape layer;
  layer.attention = {.heads = sizes.heads,
                     .kv_heads = sizes.heads,
                     .head_dim = sizes.head_dim,
                     .scale = score_scale(config, sizes, index),
                     .before = layer_norm(at + "ln_1", sizes.hidden, epsilon),
                     .qkv = conv1d(at + "attn.c_attn", 3 * sizes.hidden, sizes.hidden),
                     .out = conv1d(at + "attn.c_proj", sizes.hidden, sizes.hidden, kEnds)};
  layer.mlp = {.gate = MlpShape::Gate::kPlain,
               .activation = models::read_activation(config, "activation_function", "gelu_new"),
               .intermediate = sizes.intermediate,
               .before = layer_norm(at + "ln_2", sizes.hidden, epsilon),
               .in = conv1d(at + "mlp.c_fc", sizes.intermediate, sizes.hidden),
               .out = conv1d(at + "mlp.c_proj", sizes.hidden, sizes.intermediate, kEnds)};
  return layer;
}

}  // namespace

DecoderShape describe_gpt2(const models::Config& config, io::Json& saved) {
  const models::Sizes sizes = gpt2_sizes(config);
  for (const auto& [general, own] : kNames) {
    if (!saved.contains(general)) continue;
    saved[own] = saved[general];
    saved.erase(general);
  }
  const bool tied = config.is_not_false("tie_word_embeddings");
  complete(saved, {{"activation_function", "gelu_new"},
                   {"layer_norm_epsilon", 1e-5},
                   {"tie_word_embeddings", tied}});
  DecoderShape shape;
  shape.vocab_size = sizes.vocabulary;
  shape.hidden_size = sizes.hidden;
  shape.context = sizes.length;
  shape.embedding = "transformer.wte";
  shape.positions = "transformer.wpe";
  for (int64_t i = 0; i < sizes.layers; ++i) shape.layers.push_back(gpt2_layer(config, sizes, i));
  shape.norm = layer_norm("transformer.ln_f", sizes.hidden,
                          static_cast<float>(config.number("layer_norm_epsilon", 1e-5)));
  if (!tied) shape.head = linear("lm_head", sizes.vocabulary, sizes.hidden, Bias::kNone);
  return shape;
}

}  // namespace hearth::train
