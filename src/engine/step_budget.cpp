#include "engine/step_budget.h"

#include <algorithm>

namespace hearth::engine {
namespace {

// Below this a product of matrices is paid for its weights, not for its rows: smaller chunks would
// make the prompt slow and the step hardly shorter, and what they cost says nothing about a token.
constexpr int32_t kSmallestChunk = 32;
constexpr int32_t kFirstGuess = 256;  // tokens that are taken to fit, before anything is known

// Of each thousand of a step's time, what sequences that generate may take.
constexpr int64_t kGeneratingPermille = 800;
// One step that somebody else disturbed does not turn everything.
constexpr int64_t kSlownessMemory = 16;
constexpr int64_t kSlownessLeast = 250, kSlownessMost = 4000;

StepWork generating_work(const StepLoad& load) {
  return {.generating = load.generating,
          .generating_context = load.generating_context,
          .adapters = load.adapters,
          .adapter_rows = load.adapter_rows};
}

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
void TimedStepBudget::learn(const StepWork& work, Nanos duration) {
  const int32_t tokens = work.prompt_tokens + work.generating;
  if (tokens < kSmallestChunk || duration <= 0) return;
  per_token_ = std::max<Nanos>((3 * per_token_ + duration / tokens) / 4, 1);
}

CostedStepBudget::CostedStepBudget(const CostModel& costs, int32_t most, Nanos target)
    : costs_(costs), most_(most), target_(target) {}

// The largest chunk that fits, by halving: its cost grows with every token of it.
int32_t CostedStepBudget::tokens(const StepLoad& load, Nanos) {
  StepWork work = generating_work(load);
  int32_t chunk = 0;
  int32_t over = most_ + 1;
  while (over - chunk > 1) {
    work.prompt_tokens = chunk + (over - chunk) / 2;
    work.prompt_context = context_of(load.prompt_context, work.prompt_tokens);
    (slowed(costs_.time(work)) <= target_ ? chunk : over) = work.prompt_tokens;
  }
  return load.generating + chunk;
}

bool CostedStepBudget::admits(const StepLoad& load) const {
  return costs_.time(generating_work(load)) <= target_ * kGeneratingPermille / 1000;
}

// Full steps count: short ones may be bound by something else, and say nothing of a chunk.
void CostedStepBudget::learn(const StepWork& work, Nanos duration) {
  const Nanos expected = costs_.time(work);
  if (expected < target_ / 2 || duration <= 0) return;
  const int64_t seen =
      std::clamp(duration * 1000 / expected, kSlownessLeast, slowness_permille_ * 2);
  slowness_permille_ =
      std::clamp((slowness_permille_ * (kSlownessMemory - 1) + seen) / kSlownessMemory,
                 kSlownessLeast, kSlownessMost);
}

}  // namespace hearth::engine
