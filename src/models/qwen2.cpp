// Qwen 2 and 2.5: Llama's decoder with biases on queries, keys and values; the upper layers may
// slide.
#include "models/decoder.h"
#include "models/families.h"

namespace hearth::models {
namespace {

class Qwen2 final : public LlamaDecoder {
 public:
  Qwen2(const Config& config, Weights& weights, const LoadOptions& options) {
    const Sizes sizes = read_sizes(config);
    const float epsilon = static_cast<float>(config.number("rms_norm_eps", 1e-6));
    const ops::Activation activation = read_activation(config, "hidden_act", "silu");
    RopePlan plan = read_rope(config, {.head_dim = sizes.head_dim,
                                       .length = sizes.length,
                                       .max_model_len = options.max_model_len});
    fill_info(config, sizes, info);
    fill_info(plan, info);
    info.windows = read_qwen_windows(config, sizes.layers);
    rope = std::move(plan.rope);

    find_llama_root(weights);
    embedding.table = weights.table("embed_tokens.weight", sizes.vocabulary, sizes.hidden);
    nn::AttentionShape shape = attention_shape(sizes);
    for (int64_t i = 0; i < sizes.layers; ++i) {
      const std::string at = fmt::format("layers.{}.", i);
      shape.scores.window = info.windows[static_cast<size_t>(i)];
      LlamaLayer& layer = layers.emplace_back();
      layer.attention_norm = weights.rms_norm(at + "input_layernorm", sizes.hidden, epsilon);
      layer.attention = load_attention(weights, at, sizes, shape, {.qkv = Bias::kStored});
      layer.mlp_norm = weights.rms_norm(at + "post_attention_layernorm", sizes.hidden, epsilon);
      layer.mlp = load_gated_mlp(weights, at, sizes, activation, Bias::kNone);
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

std::unique_ptr<Model> load_qwen2(const Config& config, Weights& weights,
                                  const LoadOptions& options) {
  return std::make_unique<Qwen2>(config, weights, options);
}

}  // namespace hearth::models
