#include "apps/model_flags.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "apps/model_source.h"

namespace hearth::apps {
namespace {

constexpr double kLeastStretch = 1.05, kMostStretch = 1000;

// Empty: the flag is fine.
std::string check_stretch(const std::string& text) {
  double stretch = -1;
  CLI::detail::lexical_cast(text, stretch);
  if (stretch == 0 || (stretch >= kLeastStretch && stretch <= kMostStretch)) return {};
  return fmt::format("expected 0 or a number from {} to {}, got '{}'", kLeastStretch, kMostStretch,
                     text);
}

}  // namespace

void add_model_flags(CLI::App& command, ModelFlags& flags) {
  flags.data_dir = default_data_dir();
  command.add_option("model", flags.model,
                     "Model folder or .gguf file, or a name under DATA_DIR/models; the embedded "
                     "model, if not given");
  command.option_defaults()->group("Model");
  command.add_option("--name", flags.name,
                     "What the API calls the model; its folder's name, if not given");
  command.add_option("--data-dir", flags.data_dir, "Where Hearth keeps its state")
      ->envname("HEARTH_DATA_DIR")
      ->capture_default_str();
  command
      .add_option("--max-model-len", flags.max_model_len,
                  "Longest text in tokens; 0: what the model was trained for")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  command
      .add_option("--compute", flags.compute,
                  "auto: bf16 arithmetic for bf16 weights where the machine has it; f32: never")
      ->check(CLI::IsMember({"auto", "f32"}))
      ->capture_default_str();
  command
      .add_option("--quantize", flags.quantize,
                  "Weights while loading to 8 or 4 bits: q8, q4 (the head stays q8) or none")
      ->check(CLI::IsMember({"none", "q8", "q4"}))
      ->capture_default_str();
  command.add_flag("--no-packed-cache", flags.no_packed_cache,
                   "Do not keep packed weights under DATA_DIR/packed for the next start");
  command.option_defaults()->group("Engine");
  command.add_option("--threads", flags.threads, "Compute threads; 0: all cores that it may use")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command.add_option("--max-num-seqs", flags.max_num_seqs, "Sequences that run at once")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command
      .add_option("--max-num-batched-tokens", flags.max_num_batched_tokens, "Tokens of one step")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command
      .add_option("--kv-cache-tokens", flags.kv_cache_tokens,
                  "Tokens that the KV cache holds; 0: a share of free memory")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 32))
      ->capture_default_str();
  command
      .add_option("--kv-cache-dtype", flags.kv_cache_dtype,
                  "Type of the KV cache: auto (bf16, or f32 for an f32 model), f32, f16, bf16, or "
                  "int8, which holds nearly twice as many tokens")
      ->check(CLI::IsMember({"auto", "f32", "f16", "bf16", "int8"}))
      ->capture_default_str();
  command
      .add_option("--step-ms", flags.step_ms,
                  "While somebody generates, prompts are cut so that a step takes about this long "
                  "at most; 0: no such bound")
      ->check(CLI::Range(0, 60'000))
      ->capture_default_str();
  command
      .add_option("--itl-stretch", flags.itl_stretch,
                  "... and so that it takes at most so many times what it would take without them, "
                  "or once those of them generate too that wait; 0: no such bound")
      ->check(check_stretch)
      ->capture_default_str();
  command
      .add_option("--num-speculative-tokens", flags.num_speculative_tokens,
                  "Most tokens guessed from the text so far and checked in one step; 0: none (5 "
                  "with a draft model). Changes no answer, only its speed")
      ->check(CLI::Range(0, 64))
      ->capture_default_str();
  command.add_option("--draft-model,--model-draft", flags.draft_model,
                     "Folder, .gguf file or name of a small model with the same tokenizer, which "
                     "guesses the tokens instead, while that pays");
  command.add_flag("--no-prefix-caching", flags.no_prefix_caching,
                   "Forget computed prompts at once");
  command.option_defaults()->group("Options");
}

}  // namespace hearth::apps
