// Gemma 3, text (Gemma Team 2025): Gemma 2 with normed heads instead of soft caps, five sliding
// layers to one that sees everything, and a base of its own for the angles of each kind.
#include <cmath>

#include "models/families.h"
#include "models/gemma.h"

namespace hearth::models {
namespace {

// Multimodal files leave out what their text model has in common with these.
constexpr Sizes kAbsent = {
    .heads = 8, .kv_heads = 4, .head_dim = kGemmaHeadDim, .vocabulary = 262208, .length = 131072};
constexpr int64_t kDefaultPattern = 6;  // every sixth layer sees everything

class Gemma3 final : public Model {
 public:
  Gemma3(const Config& config, Weights& weights, const LoadOptions& options) {
    const Sizes sizes = read_sizes(config, kAbsent);
    const int64_t pattern =
        config.integer("sliding_window_pattern", 1, config.limits().layers_max, kDefaultPattern);
    RopePlan global = read_rope(config, {.head_dim = sizes.head_dim,
                                         .length = sizes.length,
                                         .max_model_len = options.max_model_len,
                                         .default_theta = 1'000'000,
                                         .layer_type = "full_attention"});
    RopePlan local = read_rope(config, {.head_dim = sizes.head_dim,
                                        .length = global.length,
                                        .theta_key = "rope_local_base_freq",
                                        .scaling_key = nullptr,
                                        .layer_type = "sliding_attention"});
    fill_info(config, sizes, info);
    fill_info(global, info);
    info.windows = read_windows(config, sizes.layers, gemma_window(config),
                                [&](int64_t layer) { return (layer + 1) % pattern != 0; });
    global_rope_ = std::move(global.rope);
    local_rope_ = std::move(local.rope);

    find_llama_root(weights);
    embedding.table = weights.table("embed_tokens.weight", sizes.vocabulary, sizes.hidden);
    embedding.factor = std::sqrt(static_cast<float>(sizes.hidden));
    nn::AttentionShape shape = gemma_attention_shape(config, sizes);
    shape.scores.softcap = static_cast<float>(soft_cap(config, "attn_logit_softcapping", 0));
    for (int64_t i = 0; i < sizes.layers; ++i) {
      const std::string at = fmt::format("layers.{}.", i);
      shape.scores.window = info.windows[static_cast<size_t>(i)];
      GemmaLayer layer = load_gemma_layer(config, weights, at, sizes, shape);
      layer.attention.q_norm = gemma_norm(config, weights, at + "self_attn.q_norm", sizes.head_dim);
      layer.attention.k_norm = gemma_norm(config, weights, at + "self_attn.k_norm", sizes.head_dim);
      layers_.push_back(std::move(layer));
    }
    norm_ = gemma_norm(config, weights, "norm", sizes.hidden);
    if (config.is_not_false("tie_word_embeddings")) {
      tie_head(weights);
    } else {
      own_head(load_lm_head(weights, sizes, Bias::kNone));
    }
    head.softcap = static_cast<float>(soft_cap(config, "final_logit_softcapping", 0));
  }

  TensorView forward(nn::Pass& pass) const override {
    const TensorView x = embedding.forward(pass, pass.tokens);
    const nn::Angles global = global_rope_.angles(pass);
    const nn::Angles local = local_rope_.angles(pass);
    for (size_t i = 0; i < layers_.size(); ++i) {
      const ops::ArenaScope temporaries(pass.ops.arena);
      layers_[i].forward(pass, x, info.windows[i] > 0 ? local : global, pass.kv.layers[i]);
    }
    return norm_.forward(pass, x);
  }

 private:
  nn::Rope global_rope_;
  nn::Rope local_rope_;
  std::vector<GemmaLayer> layers_;
  nn::RmsNorm norm_;
};

}  // namespace

std::unique_ptr<Model> load_gemma3(const Config& config, Weights& weights,
                                   const LoadOptions& options) {
  return std::make_unique<Gemma3>(config, weights, options);
}

}  // namespace hearth::models
