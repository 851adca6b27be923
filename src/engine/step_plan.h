// What the brain tells the hands for one step, and what they answer.
//
// There are no phases: a sequence that generates has one token to compute, a prompt chunk has n. A
// forward pass is one ragged batch over all of them. Spans point into the engine's memory and are
// valid until run() returns.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/clock.h"
#include "engine/sampling.h"
#include "engine/types.h"

namespace hearth::engine {

struct StepSequence {
  // Index in [0, max_num_seqs), stable while the sequence runs; the runner may keep per-slot state
  // (token counts for penalties) and drops it when `fresh` is set.
  int32_t slot = 0;
  bool fresh = false;
  // Everything known so far: prompt and output. Tokens [computed, computed + count) are to be
  // computed now.
  std::span<const TokenId> tokens;
  int32_t prompt_tokens = 0;
  int32_t computed = 0;
  int32_t count = 0;
  // Blocks of positions [0, computed + count), kBlockTokens each.
  std::span<const BlockId> blocks;
  AdapterId adapter = kBaseModel;
  const SamplingParams* sampling = nullptr;
  // Not null: restricts the token sampled in this step.
  TokenConstraint* constraint = nullptr;
  // True when computed + count == tokens.size(): the last row's logits choose the next token.
  bool sample = false;
  // Tokens that must not be chosen yet (end of sequence before min_tokens).
  std::span<const TokenId> banned;
};

// The contents of block `from` go to block `to` before anything is computed (copy on write).
struct BlockCopy {
  BlockId from = kNoBlock;
  BlockId to = kNoBlock;
};

struct StepPlan {
  uint64_t step = 0;
  std::vector<StepSequence> sequences;
  std::vector<BlockCopy> copies;
  int32_t tokens = 0;  // sum of count
};

struct SequenceResult {
  // Empty when StepSequence::sample was false; more than one when speculation was accepted.
  std::vector<SampledToken> sampled;
  // With prompt_logprobs: one entry for each prompt position in [max(computed, 1), computed +
  // count) that is < prompt_tokens.
  std::vector<SampledToken> prompt;
};

struct StepResult {
  std::vector<SequenceResult> sequences;  // same order as the plan
};

// The hands. One thread calls it.
class Runner {
 public:
  virtual ~Runner() = default;
  virtual StepResult run(const StepPlan& plan) = 0;
};

}  // namespace hearth::engine
