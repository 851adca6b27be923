// How a request wants its tokens chosen. Defaults change nothing: greedy needs temperature 0.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/types.h"

namespace hearth::engine {

struct SamplingParams {
  float temperature = 1.0f;         // 0: greedy
  int32_t top_k = 0;                // 0: off
  float top_p = 1.0f;               // 1: off
  float min_p = 0.0f;               // 0: off
  float typical_p = 1.0f;           // 1: off
  float repetition_penalty = 1.0f;  // over prompt and output; 1: off
  float presence_penalty = 0.0f;    // over output; 0: off
  float frequency_penalty = 0.0f;   // over output; 0: off
  float dry_multiplier = 0.0f;      // 0: off ("don't repeat yourself")
  float dry_base = 1.75f;
  int32_t dry_allowed_length = 2;
  int32_t dry_range = -1;  // tokens looked back over; -1: all
  std::vector<TokenId> dry_breakers;
  std::vector<std::pair<TokenId, float>> logit_bias;
  uint64_t seed = 0;  // the n-th token depends on (seed, n) only
  // Log-probabilities of the chosen token and of this many alternatives; -1: none at all.
  int32_t logprobs = -1;
  // The same for every prompt token but the first.
  int32_t prompt_logprobs = -1;
};

// A grammar, tool call or choice that restricts the next token. One object belongs to one sequence;
// the engine calls accept(), the runner calls fill(), never at the same time.
class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;
  // Sets bit t of `allowed` for each token that may come next, clears the others. allowed.size() *
  // 32 >= vocabulary.
  virtual void fill(std::span<uint32_t> allowed) = 0;
  // The token that was chosen. False: it was not allowed (the sequence then ends with an error).
  virtual bool accept(TokenId token) = 0;
  // True once nothing but the end of sequence may come.
  virtual bool finished() const = 0;
};

struct TokenLogprob {
  TokenId token = 0;
  float logprob = 0;
};

// One chosen token and, where asked for, its log-probability and the best alternatives, best first.
struct SampledToken {
  TokenId token = 0;
  float logprob = 0;
  int32_t rank = 0;  // 1 is the most likely; 0 when logprobs were not asked for
  std::vector<TokenLogprob> top;
};

}  // namespace hearth::engine
