// From a row of logits to a token.
//
// The order is vLLM's: logit bias, penalties (repetition, frequency, presence, DRY), what may not
// come (constraint, banned tokens); then temperature, min-p, top-k, top-p, typical; then one draw
// whose random number depends on the seed and the token's index alone. Log-probabilities are those
// of the model itself, before all of it.
//
// One call works on one row and its own slot and scratch, so that rows can be sampled on all
// threads at once.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/sampling.h"
#include "runner/logit_row.h"

namespace hearth::runner {

// How often each token came so far, for the penalties; kept from step to step.
class TokenCounts {
 public:
  struct Count {
    int32_t output = 0;  // times in the output; 0: only in the prompt
  };

  void clear();
  // Takes in the tokens that came since the last call.
  void update(std::span<const engine::TokenId> tokens, int32_t prompt_tokens);
  const std::unordered_map<engine::TokenId, Count>& counts() const { return counts_; }

 private:
  size_t taken_ = 0;
  std::unordered_map<engine::TokenId, Count> counts_;
};

// Memory that a thread reuses from row to row.
struct SamplerScratch {
  struct Candidate {
    engine::TokenId token = 0;
    float logit = 0;
    float cost = 0;     // nats: how unlikely (top-p), or how far from typical
    double weight = 0;  // exp((logit - max) / temperature)
  };
  std::vector<Candidate> candidates;
  RowWeights row;
  std::vector<float> raw;
  std::vector<uint32_t> allowed;
  std::vector<int32_t> matches;
  std::vector<engine::TokenId> text;  // with the guesses that were right
};

struct SampleInput {
  std::span<float> logits;                  // [vocabulary]; changed in place
  std::span<const engine::TokenId> tokens;  // prompt and output so far
  int32_t prompt_tokens = 0;
  const engine::SamplingParams& params;
  engine::TokenConstraint* constraint = nullptr;
  std::span<const engine::TokenId> banned;
};

struct SampleOutcome {
  engine::SampledToken token;
  std::string error;  // not empty: no token can be chosen, and why
};

SampleOutcome sample(const SampleInput& input, TokenCounts& counts, SamplerScratch& scratch);

// What the model thought of a token that is already known: its log-probability, rank, and the best
// `top` alternatives.
engine::SampledToken score(std::span<const float> logits, engine::TokenId token, int32_t top,
                           SamplerScratch& scratch);

}  // namespace hearth::runner
