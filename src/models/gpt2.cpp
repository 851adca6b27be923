// GPT-2 (Radford et al. 2019): learned positions, LayerNorm, weights stored as [in, out].
#include <cmath>

#include "base/error.h"
#include "models/decoder.h"
#include "models/families.h"

namespace hearth::models {
namespace {

using Gpt2Layer = nn::PreNormLayer<nn::LayerNorm, nn::FusedAttention, nn::Mlp>;

Sizes gpt2_sizes(const Config& config) {
  const ConfigLimits& limits = config.limits();
  Sizes sizes;
  sizes.layers = config.integer("n_layer", 1, limits.layers_max);
  sizes.hidden = config.integer("n_embd", 1, limits.width_max);
  sizes.heads = config.integer("n_head", 1, limits.heads_max);
  sizes.intermediate = config.integer("n_inner", 1, limits.width_max, 4 * sizes.hidden);
  sizes.kv_heads = sizes.heads;
  sizes.head_dim = sizes.hidden / sizes.heads;
  sizes.vocabulary = config.integer("vocab_size", 1, limits.vocabulary_max);
  sizes.length = config.integer("n_positions", 1, limits.length_max);
  if (sizes.hidden % sizes.heads != 0) {
    throw_error(ErrorCode::kInvalidArgument, config.where(),
                "n_embd {} is not a multiple of n_head {}", sizes.hidden, sizes.heads);
  }
  check_sizes(config, sizes);
  return sizes;
}

class Gpt2 final : public Model {
 public:
  Gpt2(const Config& config, Weights& weights, const LoadOptions& options) {
    const Sizes sizes = gpt2_sizes(config);
    const float epsilon = static_cast<float>(config.number("layer_norm_epsilon", 1e-5));
    const ops::Activation activation = read_activation(config, "activation_function", "gelu_new");
    fill_info(config, sizes, info);
    fill_info(learned_positions(config, sizes.length, options.max_model_len), info);

    weights.find_root("wte.weight", {"transformer.", ""});
    embedding.table = weights.table("wte.weight", sizes.vocabulary, sizes.hidden);
    positions_.table = weights.table("wpe.weight", sizes.length, sizes.hidden);
    for (int64_t i = 0; i < sizes.layers; ++i) {
      const std::string at = fmt::format("h.{}.", i);
      Gpt2Layer& layer = layers_.emplace_back();
      layer.attention_norm = weights.layer_norm(at + "ln_1", sizes.hidden, epsilon);
      layer.attention.shape = attention_shape(sizes);
      layer.attention.shape.scores.scale = score_scale(config, sizes, i);
      layer.attention.qkv =
          weights.conv1d(Part::kAttention, at + "attn.c_attn", 3 * sizes.hidden, sizes.hidden);
      layer.attention.out =
          weights.conv1d(Part::kAttention, at + "attn.c_proj", sizes.hidden, sizes.hidden);
      layer.mlp_norm = weights.layer_norm(at + "ln_2", sizes.hidden, epsilon);
      layer.mlp.up = weights.conv1d(Part::kMlp, at + "mlp.c_fc", sizes.intermediate, sizes.hidden);
      layer.mlp.down =
          weights.conv1d(Part::kMlp, at + "mlp.c_proj", sizes.hidden, sizes.intermediate);
      layer.mlp.activation = activation;
    }
    norm_ = weights.layer_norm("ln_f", sizes.hidden, epsilon);
    if (config.is_not_false("tie_word_embeddings")) {
      tie_head(weights);
    } else {
      own_head(load_lm_head(weights, sizes, Bias::kNone));
    }
  }

  TensorView forward(nn::Pass& pass) const override {
    const TensorView x = embedding.forward(pass, pass.tokens);
    nn::add(pass, positions_.forward(pass, pass.positions), x);
    const nn::Angles none;
    for (size_t i = 0; i < layers_.size(); ++i) {
      const ops::ArenaScope temporaries(pass.ops.arena);
      layers_[i].forward(pass, x, none, pass.kv.layers[i]);
    }
    return norm_.forward(pass, x);
  }

 private:
  static float score_scale(const Config& config, const Sizes& sizes, int64_t layer) {
    const double all = config.is_not_false("scale_attn_weights")
                           ? 1 / std::sqrt(static_cast<double>(sizes.head_dim))
                           : 1.0;
    const bool by_depth = config.is_true("scale_attn_by_inverse_layer_idx");
    return static_cast<float>(by_depth ? all / static_cast<double>(layer + 1) : all);
  }

  nn::Embedding positions_;
  std::vector<Gpt2Layer> layers_;
  nn::LayerNorm norm_;
};

}  // namespace

std::unique_ptr<Model> load_gpt2(const Config& config, Weights& weights,
                                 const LoadOptions& options) {
  return std::make_unique<Gpt2>(config, weights, options);
}

}  // namespace hearth::models
