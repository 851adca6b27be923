// Llama 1 to 3.x (Touvron et al. 2023) and the many models of its shape.
#include "models/decoder.h"
#include "models/families.h"

namespace hearth::models {
namespace {

class Llama final : public LlamaLike<LlamaLayer> {
 public:
  Llama(const Config& config, Weights& weights, const LoadOptions& options) {
    const Sizes sizes = read_sizes(config);
    const float epsilon = static_cast<float>(config.number("rms_norm_eps", 1e-6));
    const ops::Activation activation = read_activation(config, "hidden_act", "silu");
    const Bias attention_bias = read_bias(config, "attention_bias");
    const Bias mlp_bias = read_bias(config, "mlp_bias");
    describe(config, sizes, read_rope(config, rope_request(sizes, options)));
    load(config, weights, sizes, epsilon, [&](const auto& at, const auto& shape, auto& layer) {
      layer.attention = load_attention(weights, at, sizes, shape, {attention_bias, attention_bias});
      layer.mlp = load_gated_mlp(weights, at, sizes, activation, mlp_bias);
    });
  }
};

}  // namespace

std::unique_ptr<Model> load_llama(const Config& config, Weights& weights,
                                  const LoadOptions& options) {
  return std::make_unique<Llama>(config, weights, options);
}

}  // namespace hearth::models
