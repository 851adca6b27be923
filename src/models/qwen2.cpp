// Qwen 2 and 2.5: Llama's decoder with biases on queries, keys and values; the upper layers may
// slide.
#include "models/decoder.h"
#include "models/families.h"

namespace hearth::models {
namespace {

class Qwen2 final : public LlamaLike<LlamaLayer> {
 public:
  Qwen2(const Config& config, Weights& weights, const LoadOptions& options) {
    const Sizes sizes = read_sizes(config);
    const float epsilon = static_cast<float>(config.number("rms_norm_eps", 1e-6));
    const ops::Activation activation = read_activation(config, "hidden_act", "silu");
    describe(config, sizes, read_rope(config, rope_request(sizes, options)));
    info.windows = read_qwen_windows(config, sizes.layers);
    load(config, weights, sizes, epsilon, [&](const auto& at, const auto& shape, auto& layer) {
      layer.attention = load_attention(weights, at, sizes, shape, {.qkv = Bias::kStored});
      layer.mlp = load_gated_mlp(weights, at, sizes, activation, Bias::kNone);
    });
  }
};

}  // namespace

std::unique_ptr<Model> load_qwen2(const Config& config, Weights& weights,
                                  const LoadOptions& options) {
  return std::make_unique<Qwen2>(config, weights, options);
}

}  // namespace hearth::models
