// The flags by which every command that runs a model says which, and with what limits.
#pragma once

#include <cstdint>
#include <string>

namespace CLI {
class App;
}

namespace hearth::apps {

inline constexpr int32_t kDraftedTokens = 5;

struct ModelFlags {
  // Folder or name; empty: the embedded model.
  std::string model;
  // How the API calls it; empty: the folder's name.
  std::string name;
  // Where Hearth keeps its state and named models.
  std::string data_dir;
  // Compute threads; 0: the cores that this process may use.
  int threads = 0;
  // Longest text; 0: as far as the model goes without stretching its positions.
  int32_t max_model_len = 0;
  // Sequences that run at once.
  int32_t max_num_seqs = 128;
  // Tokens of one step. More make prompts no faster: each pass over the weights is paid for by its
  // arithmetic long before; but a step longer, and its memory larger.
  int32_t max_num_batched_tokens = 512;
  // Bounds of a step with prompts in it while somebody generates: in time, and over what it takes
  // without them. 0: none.
  int32_t step_ms = 100;
  double itl_stretch = 1.75;
  // Folder or name of a small model that guesses; empty: guesses are looked up in the text.
  std::string draft_model;
  // Most tokens guessed in a step; 0: none, or kDraftedTokens where there is a draft model.
  int32_t num_speculative_tokens = 0;
  // Tokens that the KV cache holds; 0: a share of the free memory.
  int64_t kv_cache_tokens = 0;
  // f32, f16, bf16, int8, or auto: by the model's type.
  std::string kv_cache_dtype = "auto";
  // auto: bf16 arithmetic for bf16 weights where the machine has it; f32: never.
  std::string compute = "auto";
  // none, or what weights are quantised to while they are loaded: q8, q4.
  std::string quantize = "none";
  // Do not keep packed weights for the next start.
  bool no_packed_cache = false;
  // Forget computed prompts at once.
  bool no_prefix_caching = false;
};

void add_model_flags(CLI::App& command, ModelFlags& flags);

}  // namespace hearth::apps
