// Phi-3 and 3.5 (Abdin et al. 2024), and Phi-4: Llama's decoder with fused projections.
#include "models/decoder.h"
#include "models/families.h"

namespace hearth::models {
namespace {

constexpr int64_t kDefaultPretrained = 4096;  // original_max_position_embeddings

using Layer = nn::PreNormLayer<nn::RmsNorm, nn::FusedAttention, nn::FusedGatedMlp>;

class Phi3 final : public Decoder<nn::RmsNorm, Layer> {
 public:
  Phi3(const Config& config, Weights& weights, const LoadOptions& options) {
    const Sizes sizes = read_sizes(config);
    const float epsilon = static_cast<float>(config.number("rms_norm_eps", 1e-5));
    const ops::Activation activation = read_activation(config, "hidden_act", "silu");
    const int64_t window = config.integer_or_off("sliding_window", config.limits().length_max, 0);
    RopePlan plan = read_rope(config, {.head_dim = sizes.head_dim,
                                       .length = sizes.length,
                                       .max_model_len = options.max_model_len,
                                       .default_pretrained = kDefaultPretrained});
    fill_info(config, sizes, info);
    fill_info(plan, info);
    info.windows = read_windows(config, sizes.layers, window, [](int64_t) { return true; });
    rope = std::move(plan.rope);

    find_llama_root(weights);
    embedding.table = weights.table("embed_tokens.weight", sizes.vocabulary, sizes.hidden);
    nn::AttentionShape shape = attention_shape(sizes);
    for (int64_t i = 0; i < sizes.layers; ++i) {
      const std::string at = fmt::format("layers.{}.", i);
      shape.scores.window = info.windows[static_cast<size_t>(i)];
      Layer& layer = layers.emplace_back();
      layer.attention_norm = weights.rms_norm(at + "input_layernorm", sizes.hidden, epsilon);
      layer.attention.shape = shape;
      layer.attention.qkv =
          weights.linear(Part::kAttention, at + "self_attn.qkv_proj",
                         shape.q_size() + 2 * shape.kv_size(), sizes.hidden, Bias::kNone);
      weights.name_parts(
          layer.attention.qkv,
          {{"q_proj", shape.q_size()}, {"k_proj", shape.kv_size()}, {"v_proj", shape.kv_size()}});
      layer.attention.out = weights.linear(Part::kAttention, at + "self_attn.o_proj", sizes.hidden,
                                           shape.q_size(), Bias::kNone);
      layer.mlp_norm = weights.rms_norm(at + "post_attention_layernorm", sizes.hidden, epsilon);
      layer.mlp.gate_up = weights.linear(Part::kMlp, at + "mlp.gate_up_proj",
                                         2 * sizes.intermediate, sizes.hidden, Bias::kNone);
      weights.name_parts(layer.mlp.gate_up,
                         {{"gate_proj", sizes.intermediate}, {"up_proj", sizes.intermediate}});
      layer.mlp.down = weights.linear(Part::kMlp, at + "mlp.down_proj", sizes.hidden,
                                      sizes.intermediate, Bias::kNone);
      layer.mlp.activation = activation;
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

std::unique_ptr<Model> load_phi3(const Config& config, Weights& weights,
                                 const LoadOptions& options) {
  return std::make_unique<Phi3>(config, weights, options);
}

}  // namespace hearth::models
