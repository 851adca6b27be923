// The limits of one engine. Each has a name, a default and a reason; nothing grows past them.
#pragma once

#include <cstdint>
#include <limits>

#include "base/clock.h"
#include "engine/cost_model.h"
#include "engine/types.h"

namespace hearth::engine {

struct EngineConfig {
  // Blocks of the KV cache, kBlockTokens tokens each; the runner owns as many.
  int32_t num_blocks = 4096;
  // Longest sequence, prompt and output together.
  int32_t max_model_len = 4096;
  // Token ids that the model knows, from 0; 0: not checked.
  int32_t vocabulary = 0;
  // Sequences that run at once: the runner's slots.
  int32_t max_num_seqs = 128;
  // Tokens computed in one step; not less than max_num_seqs, so that each one that generates gets
  // its token in each step.
  int32_t max_num_batched_tokens = 2048;
  // How long a step with prompts in it may take while somebody generates, about: the time between
  // two tokens. 0: prompts may fill each step.
  Nanos step_time_target = 0;
  // ... and how far prompts may stretch it, per thousand of what it would take without them, once
  // those of them that are due generate too (prompt_room.h); what deployments bought may take it up
  // to the target all the same. 0: as far as the target.
  int32_t step_stretch_permille = 0;
  // What a step takes on this machine, where it was measured: the target then holds from the first
  // step on, for sequences that generate too. Unknown: it is learned, for prompts.
  CostModel costs{};
  // What a token is worth when work is shared and counted.
  TokenPrices prices{};
  // Prompts that may be computed in part at the same time.
  int32_t max_num_partial_prefills = 8;
  // How many of those may be long; the rest of the places is the lane of the short ones.
  int32_t max_long_partial_prefills = 2;
  // A prompt with more left to compute is long. It gets this many tokens of a step, and what the
  // others leave.
  int32_t long_prefill_token_threshold = 512;
  // Requests that wait for their first step; the next one is refused.
  int32_t max_queued_requests = 1024;
  // Prompt tokens of the requests that wait; a request is always taken by an empty queue.
  int64_t max_queued_tokens = int64_t{1} << 22;
  // Sequences of one request (n).
  int32_t max_choices = 128;
  // A request that waits for memory is overtaken by at most this many short ones; one that waits
  // for room for its adapter, by as many with other adapters.
  int32_t max_overtaken = 64;
  // Blocks that an admission leaves free, so that those who run can grow, per thousand of
  // num_blocks.
  int32_t watermark_permille = 10;
  // Memory for adapters, in pages of the runner's size; 0: adapters are refused.
  int32_t adapter_pages = 0;
  // Adapters that requests use, or that are being loaded, at once; 0: as many as there are.
  int32_t max_loras = 0;
  // A request waits at most this long for each level of priority that a later one is above it;
  // 0: priorities are strict, and low ones may starve.
  Nanos priority_aging = 30 * kSecond;
  // Most tokens that are guessed for a sequence in a step (speculation, see drafter.h), while they
  // pay; 0: none.
  int32_t max_guessed_tokens = 0;
  // Guesses are made only while a step has no more rows than this, them included: a busy engine has
  // better use for them.
  int32_t max_speculative_rows = 8;
  // Whether computed blocks are kept and found again by their contents.
  bool prefix_caching = true;
  // Key of the hash of block contents. Secret and random in a server: nobody who cannot read it can
  // make two texts collide.
  uint64_t prefix_hash_key = 0x6865617274680001u;
};

}  // namespace hearth::engine
