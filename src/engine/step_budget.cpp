#include "engine/step_budget.h"

#include <algorithm>

namespace hearth::engine {
namespace {

// Below this a product of matrices is paid for its weights, not for its rows: smaller chunks would
// make the prompt slow and the step hardly shorter, and what they cost says nothing about a token.
constexpr int32_t kSmallestChunk = 32;
constexpr int32_t kFirstGuess = 256;  // tokens that are taken to fit, before anything is known

}  // namespace

TimedStepBudget::TimedStepBudget(int32_t most, Nanos target)
    : most_(most), target_(target), per_token_(std::max<Nanos>(target / kFirstGuess, 1)) {}

int32_t TimedStepBudget::tokens(const StepLoad& load, Nanos) {
  if (load.generating == 0) return most_;
  const Nanos fit = target_ / per_token_;
  const auto chunk = static_cast<int32_t>(std::clamp<Nanos>(fit, kSmallestChunk, most_));
  return load.generating + chunk;
}

// A quarter of what is new: one step that something else disturbed does not turn everything.
void TimedStepBudget::learn(int32_t tokens, Nanos duration) {
  if (tokens < kSmallestChunk || duration <= 0) return;
  per_token_ = std::max<Nanos>((3 * per_token_ + duration / tokens) / 4, 1);
}

}  // namespace hearth::engine
