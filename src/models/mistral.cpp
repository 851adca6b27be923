// Mistral (Jiang et al. 2023): Llama's decoder, every layer behind one sliding window.
#include "models/decoder.h"
#include "models/families.h"

namespace hearth::models {
namespace {

constexpr int64_t kDefaultWindow = 4096;  // of a file without the key; null switches it off

class Mistral final : public LlamaLike<LlamaLayer> {
 public:
  Mistral(const Config& config, Weights& weights, const LoadOptions& options) {
    const Sizes sizes = read_sizes(config);
    const float epsilon = static_cast<float>(config.number("rms_norm_eps", 1e-6));
    const ops::Activation activation = read_activation(config, "hidden_act", "silu");
    const int64_t window =
        config.integer_or_off("sliding_window", config.limits().length_max, kDefaultWindow);
    describe(config, sizes, read_rope(config, rope_request(sizes, options)));
    info.windows = read_windows(config, sizes.layers, window, [](int64_t) { return true; });
    load(config, weights, sizes, epsilon, [&](const auto& at, const auto& shape, auto& layer) {
      layer.attention = load_attention(weights, at, sizes, shape, {});
      layer.mlp = load_gated_mlp(weights, at, sizes, activation, Bias::kNone);
    });
  }
};

}  // namespace

std::unique_ptr<Model> load_mistral(const Config& config, Weights& weights,
                                    const LoadOptions& options) {
  return std::make_unique<Mistral>(config, weights, options);
}

}  // namespace hearth::models
