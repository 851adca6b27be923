// What the brain tells the hands for one step, and what they answer.
//
// There are no phases: a sequence that generates has one token to compute, a prompt chunk has n. A
// forward pass is one ragged batch over all of them. Spans point into the engine's memory and are
// valid until the step is committed.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/adapter_cache.h"
#include "engine/cost_model.h"
#include "engine/sampling.h"
#include "engine/types.h"

namespace hearth::engine {

// What the brain wants back of a sequence in this step.
enum class Want : uint8_t {
  kNothing,  // more of the known tokens is still to come
  kToken,    // the last row's logits choose the next token
  kPooled,   // the pooled hidden state: the whole text has been computed with this step
};

// How the hidden states of a text become one vector. The runner keeps the running sum of kMean in
// the slot, and starts it anew when `fresh` is set.
enum class Pooling : uint8_t { kNone, kLast, kFirst, kMean };

struct StepSequence {
  RequestId request = 0;
  int32_t choice = 0;  // 0 .. n - 1
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
  // With kToken: guesses of the tokens that follow `tokens`, to be computed as well, and checked.
  std::span<const TokenId> guess;
  // Blocks of positions [0, computed + count + guess.size()), kBlockTokens each.
  std::span<const BlockId> blocks;
  AdapterId adapter = kBaseModel;
  // The seed in it is this choice's own. The next token's index is tokens.size() - prompt_tokens,
  // whatever was preempted and recomputed before.
  const SamplingParams* sampling = nullptr;
  // Not null: restricts the token sampled in this step.
  TokenConstraint* constraint = nullptr;
  Want want = Want::kNothing;
  Pooling pooling = Pooling::kNone;
  // Tokens that must not be chosen yet (end of sequence before min_tokens).
  std::span<const TokenId> banned;
};

// The contents of block `from` go to block `to` before anything is computed (copy on write). No
// block is `to` twice, and none is both `from` and `to`: the order does not matter.
struct BlockCopy {
  BlockId from = kNoBlock;
  BlockId to = kNoBlock;
};

struct StepPlan {
  uint64_t step = 0;
  std::vector<StepSequence> sequences;
  std::vector<BlockCopy> copies;
  std::vector<AdapterOrder> adapters;
  int32_t tokens = 0;  // rows: sum of count and of guesses
  StepWork work;       // the same as what it costs
  // Only work for idle capacity: whoever else comes need not wait for its end (Runner::run_idle).
  bool idle = false;

  // Nothing to run, and nothing to commit.
  bool empty() const { return sequences.empty() && adapters.empty(); }
};

struct SequenceResult {
  // Empty unless kToken was wanted. More than one where guesses were right, each as if it had been
  // chosen alone, or where the runner knows how the text goes on (a grammar with one way on). The
  // keys and values of what was neither planned nor rightly guessed are computed in the next step.
  std::vector<SampledToken> sampled;
  // With prompt_logprobs: row i of [computed, computed + count) speaks of token i + 1; one entry
  // for each of those that is still in the prompt, i + 1 < prompt_tokens.
  std::vector<SampledToken> prompt;
  // When kPooled was wanted: the vector.
  std::vector<float> pooled;
  // Not empty: this sequence cannot go on, and why; it ends with FinishReason::kError.
  std::string error;
};

struct StepResult {
  std::vector<SequenceResult> sequences;  // same order as the plan
  // Of run_idle: orders and copies were obeyed, and nothing else has come of the step. What it was
  // to write is undefined, and `sequences` is empty.
  bool abandoned = false;
};

// The hands. One thread calls it.
class Runner {
 public:
  virtual ~Runner() = default;
  virtual StepResult run(const StepPlan& plan) = 0;
  // The same, for a plan of idle work: `stop` is asked again and again, by the thread that calls,
  // and once it is true the step may be abandoned.
  virtual StepResult run_idle(const StepPlan& plan, const std::function<bool()>& stop) {
    static_cast<void>(stop);
    return run(plan);
  }
};

}  // namespace hearth::engine
