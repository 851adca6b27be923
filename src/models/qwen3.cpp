// Qwen 3 (dense): Llama's decoder with an RMSNorm over each head of queries and keys.
#include "models/decoder.h"
#include "models/families.h"

namespace hearth::models {
namespace {

constexpr int64_t kDefaultHeadDim = 128;

class Qwen3 final : public LlamaLike<LlamaLayer> {
 public:
  Qwen3(const Config& config, Weights& weights, const LoadOptions& options) {
    const Sizes sizes = read_sizes(config, {.head_dim = kDefaultHeadDim});
    const float epsilon = static_cast<float>(config.number("rms_norm_eps", 1e-6));
    const ops::Activation activation = read_activation(config, "hidden_act", "silu");
    const Bias bias = read_bias(config, "attention_bias");
    describe(config, sizes, read_rope(config, rope_request(sizes, options)));
    info.windows = read_qwen_windows(config, sizes.layers);
    load(config, weights, sizes, epsilon, [&](const auto& at, const auto& shape, auto& layer) {
      layer.attention = load_attention(weights, at, sizes, shape, {bias, bias});
      layer.attention.q_norm = weights.rms_norm(at + "self_attn.q_norm", sizes.head_dim, epsilon);
      layer.attention.k_norm = weights.rms_norm(at + "self_attn.k_norm", sizes.head_dim, epsilon);
      layer.mlp = load_gated_mlp(weights, at, sizes, activation, Bias::kNone);
    });
  }
};

}  // namespace

std::unique_ptr<Model> load_qwen3(const Config& config, Weights& weights,
                                  const LoadOptions& options) {
  return std::make_unique<Qwen3>(config, weights, options);
}

}  // namespace hearth::models
