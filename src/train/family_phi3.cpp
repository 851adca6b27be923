// Phi-3, 3.5 and 4: Llama with fused projections.
#include "io/json.h"
#include "train/families.h"
#include "train/family_parts.h"

namespace hearth::train {
namespace {

constexpr int64_t kDefaultPretrained = 4096;  // original_max_position_embeddings

}  // namespace

DecoderShape describe_phi3(const models::Config& config, io::Json& saved) {
  LlamaParts parts{config, models::read_sizes(config)};
  const models::Sizes& sizes = parts.sizes;
  parts.epsilon = static_cast<float>(config.number("rms_norm_eps", 1e-5));
  parts.activation = models::read_activation(config, "hidden_act", "silu");
  const int64_t window = config.integer_or_off("sliding_window", config.limits().length_max, 0);
  const models::RopePlan plan =
      models::read_rope(config, {.head_dim = sizes.head_dim,
                                 .length = sizes.length,
                                 .default_pretrained = kDefaultPretrained});
  const bool tied = config.is_true("tie_word_embeddings");
  complete(saved, {{"hidden_act", "silu"},
                   {"num_key_value_heads", sizes.kv_heads},
                   {"rms_norm_eps", 1e-5},
                   {"tie_word_embeddings", tied}});
  DecoderShape shape = parts.decoder(
      head_of(tied), plan,
      models::read_windows(config, sizes.layers, window, [](int64_t) { return true; }));
  for (size_t i = 0; i < shape.layers.size(); ++i) {
    const std::string at = layer_name(static_cast<int64_t>(i));
    LayerShape& layer = shape.layers[i];
    layer.attention.qkv =
        linear(at + "self_attn.qkv_proj", layer.attention.qkv.out(), sizes.hidden, Bias::kNone);
    layer.mlp.in =
        linear(at + "mlp.gate_up_proj", 2 * sizes.intermediate, sizes.hidden, Bias::kNone);
  }
  return shape;
}

}  // namespace hearth::train
