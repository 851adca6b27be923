// Speculation: guessing how a text goes on, so that one pass over the weights can check several
// tokens where it would otherwise give one.
//
// Nothing of it changes an answer. The runner chooses the token of each position exactly as it
// would without guesses: the logits of a row do not depend on what else is in the batch, and the
// random number belongs to the index of the token. A guess counts only if it is that very token.
// This is exact at every temperature, and stricter than the rejection sampling of Leviathan et al.
// 2023: not only the distribution stays, every token and log-probability does.
//
// How many to guess, and whether at all, is guess_policy.h's.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/sampling.h"
#include "engine/types.h"

namespace hearth::engine {

// What a drafter is asked about one choice.
struct GuessOrder {
  RequestId request = 0;
  int32_t choice = 0;
  std::span<const TokenId> tokens;  // everything known so far
  int32_t prompt_tokens = 0;
  const SamplingParams* sampling = nullptr;
  // What was read for one salt is of no use to another: time would tell what others wrote.
  uint64_t cache_salt = 0;
  int32_t most = 0;                       // tokens to guess, at most
  std::vector<TokenId>* guess = nullptr;  // ... go to the end of this
};

// Called in each step for all who may be guessed at: quick, and the same guesses for the same
// calls.
class Drafter {
 public:
  virtual ~Drafter() = default;
  // Tokens of this text that it would have to read before it can guess.
  virtual int32_t unread(const GuessOrder& /*order*/) const { return 0; }
  // Guesses, as many as each order asks for, or fewer. Returns how many tokens it read for that,
  // beside those that the last steps brought.
  virtual int32_t guess(std::span<const GuessOrder> orders) = 0;
  // Nothing more is asked about this choice.
  virtual void end(RequestId /*request*/, int32_t /*choice*/) {}
};

// Prompt lookup (Saxena 2023): what followed the last tokens when they came before. Finds
// quotations, code that is edited, names, and models that repeat themselves.
class PromptLookup final : public Drafter {
 public:
  int32_t guess(std::span<const GuessOrder> orders) override;
};

}  // namespace hearth::engine
