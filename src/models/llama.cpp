// Llama 1 to 3.x (Touvron et al. 2023) and the many models of its shape.
#include "models/decoder.h"
#include "models/families.h"

namespace hearth::models {
namespace {

class Llama final : public LlamaDecoder {
 public:
  Llama(const Config& config, Weights& weights, const LoadOptions& options) {
    const Sizes sizes = read_sizes(config);
    const float epsilon = static_cast<float>(config.number("rms_norm_eps", 1e-6));
    const ops::Activation activation = read_activation(config, "hidden_act", "silu");
    const Bias attention_bias = config.is_true("attention_bias") ? Bias::kStored : Bias::kNone;
    const Bias mlp_bias = config.is_true("mlp_bias") ? Bias::kStored : Bias::kNone;
    RopePlan plan = read_rope(config, {.head_dim = sizes.head_dim,
                                       .length = sizes.length,
                                       .max_model_len = options.max_model_len});
    fill_info(config, sizes, info);
    fill_info(plan, info);
    rope = std::move(plan.rope);

    find_llama_root(weights);
    embedding.table = weights.table("embed_tokens.weight", sizes.vocabulary, sizes.hidden);
    for (int64_t i = 0; i < sizes.layers; ++i) {
      const std::string at = fmt::format("layers.{}.", i);
      LlamaLayer& layer = layers.emplace_back();
      layer.attention_norm = weights.rms_norm(at + "input_layernorm", sizes.hidden, epsilon);
      layer.attention = load_attention(weights, at, sizes, attention_shape(sizes),
                                       {attention_bias, attention_bias});
      layer.mlp_norm = weights.rms_norm(at + "post_attention_layernorm", sizes.hidden, epsilon);
      layer.mlp = load_gated_mlp(weights, at, sizes, activation, mlp_bias);
    }
    norm = weights.rms_norm("norm", sizes.hidden, epsilon);
    if (config.is_true("tie_word_embeddings")) {
      tie_head(weights);
    } else {
      own_head(load_lm_head(weights, sizes, Bias::kNone));
    }
  }
};

}  // namespace

std::unique_ptr<Model> load_llama(const Config& config, Weights& weights,
                                  const LoadOptions& options) {
  return std::make_unique<Llama>(config, weights, options);
}

}  // namespace hearth::models
