// Mistral: Llama behind one sliding window.
#include "io/json.h"
#include "train/families.h"
#include "train/family_parts.h"

namespace hearth::train {
namespace {

constexpr int64_t kDefaultWindow = 4096;  // of a file without the key; null switches it off

}  // namespace

DecoderShape describe_mistral(const models::Config& config, io::Json& saved) {
  LlamaParts parts{config, models::read_sizes(config)};
  parts.epsilon = static_cast<float>(config.number("rms_norm_eps", 1e-6));
  parts.activation = models::read_activation(config, "hidden_act", "silu");
  const int64_t window =
      config.integer_or_off("sliding_window", config.limits().length_max, kDefaultWindow);
  const models::RopePlan plan =
      models::read_rope(config, {.head_dim = parts.sizes.head_dim, .length = parts.sizes.length});
  const bool tied = config.is_true("tie_word_embeddings");
  complete(saved, {{"hidden_act", "silu"},
                   {"head_dim", parts.sizes.head_dim},
                   {"num_key_value_heads", parts.sizes.kv_heads},
                   {"rms_norm_eps", 1e-6},
                   {"sliding_window", window},
                   {"tie_word_embeddings", tied}});
  return parts.decoder(
      head_of(tied), plan,
      models::read_windows(config, parts.sizes.layers, window, [](int64_t) { return true; }));
}

}  // namespace hearth::train
