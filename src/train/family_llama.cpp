// Llama: RMSNorm, rotary positions, grouped-query attention, SwiGLU.
#include "io/json.h"
#include "train/families.h"
#include "train/family_parts.h"

namespace hearth::train {

DecoderShape describe_llama(const models::Config& config, io::Json& saved) {
  LlamaParts parts{config, models::read_sizes(config, {.length = 2048})};
  parts.epsilon = static_cast<float>(config.number("rms_norm_eps", 1e-6));
  parts.activation = models::read_activation(config, "hidden_act", "silu");
  parts.qkv_bias = config.is_true("attention_bias") ? Bias::kStored : Bias::kNone;
  parts.out_bias = parts.qkv_bias;
  parts.mlp_bias = config.is_true("mlp_bias") ? Bias::kStored : Bias::kNone;
  const models::RopePlan plan =
      models::read_rope(config, {.head_dim = parts.sizes.head_dim, .length = parts.sizes.length});
  const bool tied = config.is_true("tie_word_embeddings");
  complete(saved, {{"hidden_act", "silu"},
                   {"head_dim", parts.sizes.head_dim},
                   {"max_position_embeddings", parts.sizes.length},
                   {"num_key_value_heads", parts.sizes.kv_heads},
                   {"rms_norm_eps", 1e-6},
                   {"tie_word_embeddings", tied},
                   {"attention_bias", false},
                   {"mlp_bias", false}});
  return parts.decoder(head_of(tied), plan,
                       std::vector<int32_t>(static_cast<size_t>(parts.sizes.layers)));
}

}  // namespace hearth::train
