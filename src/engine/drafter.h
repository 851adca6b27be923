// Speculation: guessing how a text goes on, so that one pass over the weights can check several
// tokens where it would otherwise give one.
//
// Nothing of it changes an answer. The runner chooses the token of each position exactly as it
// would without guesses: the logits of a row do not depend on what else is in the batch, and the
// random number belongs to the index of the token. A guess counts only if it is that very token.
// This is exact at every temperature, and stricter than the rejection sampling of Leviathan et al.
// 2023: not only the distribution stays, every token and log-probability does.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/types.h"

namespace hearth::engine {

class Drafter {
 public:
  virtual ~Drafter() = default;
  // Appends at most `most` tokens to `guess` that may follow `tokens` of this choice. None is an
  // answer too. Called in each step for each sequence that may speculate: quick, and the same
  // guesses for the same calls.
  virtual void guess(RequestId request, int32_t choice, std::span<const TokenId> tokens,
                     int32_t most, std::vector<TokenId>& guess) = 0;
};

// Prompt lookup (Saxena 2023): what followed the last tokens when they came before. Finds
// quotations, code that is edited, names, and models that repeat themselves.
class PromptLookup final : public Drafter {
 public:
  void guess(RequestId request, int32_t choice, std::span<const TokenId> tokens, int32_t most,
             std::vector<TokenId>& guess) override;
};

// How many tokens to guess for one sequence, from how the last guesses went. A wrong guess costs a
// row of a step, so a text that does not repeat itself is soon hardly guessed at.
class GuessLength {
 public:
  // Tokens to guess in this step; 0: none. Call once a step.
  int32_t next(int32_t most);
  // Of `guessed` > 0 tokens `right` were right.
  void learn(int32_t guessed, int32_t right, int32_t most);

 private:
  int32_t length_ = 2;
  int32_t misses_ = 0;  // in a row
  int32_t pause_ = 0;   // steps without a guess still to come
};

}  // namespace hearth::engine
