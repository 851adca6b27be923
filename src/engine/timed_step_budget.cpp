#include "engine/timed_step_budget.h"

#include <algorithm>

namespace hearth::engine {
namespace {

// Where generation alone fills the target, prompts get on by so many tokens all the same: up to
// about as many rows a product of matrices is paid for its weights, which are read anyway.
constexpr int32_t kSmallestChunk = 16;

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

TimedStepBudget::TimedStepBudget(int32_t most, const StepLimits& limits)
    : most_(most), room_(limits) {}

// What is owed may take the step up to its target; other prompts keep to the stretch. Nobody waits
// for the tokens of batch work, but somebody may come, for whom its step is to be over in time.
int32_t TimedStepBudget::tokens(const StepLoad& load, Nanos) {
  if (load.generating == 0 && !load.idle) return most_;
  const int32_t whole = std::max(room_.until_target(load, most_), kSmallestChunk);
  if (load.idle) return load.generating + whole;
  const int32_t stretched = room_.knows(load) ? std::max(room_.until_stretch(load, most_), 1) : 0;
  return load.generating + std::min(whole, std::max(stretched, load.owed));
}

void TimedStepBudget::learn(const StepWork& work, Nanos duration) { room_.learn(work, duration); }

CostedStepBudget::CostedStepBudget(const CostModel& costs, int32_t most, const StepLimits& limits)
    : costs_(costs), most_(most), limits_(limits), room_(limits) {}

int32_t CostedStepBudget::until_target(const StepLoad& load) const {
  StepWork work = generating_work(load);
  return largest_chunk(most_, [&](int32_t tokens) {
    work.prompt_tokens = tokens;
    work.prompt_context = context_of(load.prompt_context, tokens);
    return slowed(costs_.time(work)) <= limits_.target;
  });
}

int32_t CostedStepBudget::tokens(const StepLoad& load, Nanos) {
  int32_t stretched = most_;
  if (load.generating > 0 && !load.idle && limits_.stretch_permille > 0) {
    stretched = room_.knows(load) ? std::max(room_.until_stretch(load, most_), 1) : 0;
  }
  return load.generating + std::min(until_target(load), std::max(stretched, load.owed));
}

bool CostedStepBudget::admits(const StepLoad& load) const {
  return costs_.time(generating_work(load)) <= limits_.target * kGeneratingPermille / 1000;
}

// Full steps count: short ones may be bound by something else, and say nothing of a chunk.
void CostedStepBudget::learn(const StepWork& work, Nanos duration) {
  room_.learn(work, duration);
  const Nanos expected = costs_.time(work);
  if (expected < limits_.target / 2 || duration <= 0) return;
  const int64_t seen =
      std::clamp(duration * 1000 / expected, kSlownessLeast, slowness_permille_ * 2);
  slowness_permille_ =
      std::clamp((slowness_permille_ * (kSlownessMemory - 1) + seen) / kSlownessMemory,
                 kSlownessLeast, kSlownessMost);
}

}  // namespace hearth::engine
