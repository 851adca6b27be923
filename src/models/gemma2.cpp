// Gemma 2 (Gemma Team 2024): norms before and after each block, soft caps on scores and logits,
// every other layer slides.
#include <cmath>

#include "models/families.h"
#include "models/gemma.h"

namespace hearth::models {
namespace {

class Gemma2 final : public Decoder<nn::RmsNorm, GemmaLayer> {
 public:
  Gemma2(const Config& config, Weights& weights, const LoadOptions& options) {
    const Sizes sizes = read_sizes(config, {.head_dim = kGemmaHeadDim});
    describe(config, sizes, read_rope(config, rope_request(sizes, options)));
    info.windows = read_windows(config, sizes.layers, gemma_window(config),
                                [](int64_t layer) { return layer % 2 == 0; });

    find_llama_root(weights);
    embedding.table = weights.table("embed_tokens.weight", sizes.vocabulary, sizes.hidden);
    embedding.factor = std::sqrt(static_cast<float>(sizes.hidden));
    nn::AttentionShape shape = gemma_attention_shape(config, sizes);
    shape.scores.softcap = static_cast<float>(soft_cap(config, "attn_logit_softcapping", 50));
    for (int64_t i = 0; i < sizes.layers; ++i) {
      shape.scores.window = info.windows[static_cast<size_t>(i)];
      layers.push_back(
          load_gemma_layer(config, weights, fmt::format("layers.{}.", i), sizes, shape));
    }
    norm = gemma_norm(config, weights, "norm", sizes.hidden);
    if (config.is_not_false("tie_word_embeddings")) {
      tie_head(weights);
    } else {
      own_head(load_lm_head(weights, sizes, Bias::kNone));
    }
    head.softcap = static_cast<float>(soft_cap(config, "final_logit_softcapping", 30));
  }
};

}  // namespace

std::unique_ptr<Model> load_gemma2(const Config& config, Weights& weights,
                                   const LoadOptions& options) {
  return std::make_unique<Gemma2>(config, weights, options);
}

}  // namespace hearth::models
