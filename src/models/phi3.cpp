// Phi-3 and 3.5 (Abdin et al. 2024), and Phi-4: Llama's decoder with fused projections.
#include "models/decoder.h"
#include "models/families.h"

namespace hearth::models {
namespace {

constexpr int64_t kDefaultPretrained = 4096;  // original_max_position_embeddings

using Phi3Layer = nn::PreNormLayer<nn::RmsNorm, nn::FusedAttention, nn::FusedGatedMlp>;

nn::FusedAttention load_fused_attention(Weights& weights, const std::string& at, const Sizes& sizes,
                                        const nn::AttentionShape& shape) {
  const int64_t q_size = shape.q_size();
  const int64_t kv_size = shape.kv_size();
  nn::FusedAttention attention;
  attention.shape = shape;
  attention.qkv = weights.linear(Part::kAttention, at + "self_attn.qkv_proj", q_size + 2 * kv_size,
                                 sizes.hidden, Bias::kNone);
  weights.name_parts(attention.qkv, {{"q_proj", q_size}, {"k_proj", kv_size}, {"v_proj", kv_size}});
  attention.out =
      weights.linear(Part::kAttention, at + "self_attn.o_proj", sizes.hidden, q_size, Bias::kNone);
  return attention;
}

nn::FusedGatedMlp load_fused_mlp(Weights& weights, const std::string& at, const Sizes& sizes,
                                 ops::Activation activation) {
  nn::FusedGatedMlp mlp;
  mlp.gate_up = weights.linear(Part::kMlp, at + "mlp.gate_up_proj", 2 * sizes.intermediate,
                               sizes.hidden, Bias::kNone);
  weights.name_parts(mlp.gate_up,
                     {{"gate_proj", sizes.intermediate}, {"up_proj", sizes.intermediate}});
  mlp.down = weights.linear(Part::kMlp, at + "mlp.down_proj", sizes.hidden, sizes.intermediate,
                            Bias::kNone);
  mlp.activation = activation;
  return mlp;
}

class Phi3 final : public LlamaLike<Phi3Layer> {
 public:
  Phi3(const Config& config, Weights& weights, const LoadOptions& options) {
    const Sizes sizes = read_sizes(config);
    const float epsilon = static_cast<float>(config.number("rms_norm_eps", 1e-5));
    const ops::Activation activation = read_activation(config, "hidden_act", "silu");
    const int64_t window = config.integer_or_off("sliding_window", config.limits().length_max, 0);
    RopeRequest request = rope_request(sizes, options);
    request.default_pretrained = kDefaultPretrained;
    describe(config, sizes, read_rope(config, request));
    info.windows = read_windows(config, sizes.layers, window, [](int64_t) { return true; });
    load(config, weights, sizes, epsilon, [&](const auto& at, const auto& shape, auto& layer) {
      layer.attention = load_fused_attention(weights, at, sizes, shape);
      layer.mlp = load_fused_mlp(weights, at, sizes, activation);
    });
  }
};

}  // namespace

std::unique_ptr<Model> load_phi3(const Config& config, Weights& weights,
                                 const LoadOptions& options) {
  return std::make_unique<Phi3>(config, weights, options);
}

}  // namespace hearth::models
