// Budgets that keep steps to a time.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "engine/cost_model.h"
#include "engine/prompt_room.h"
#include "engine/step_budget.h"

namespace hearth::engine {

// While somebody generates, prompts get as many tokens of a step as fit into a time: who generates
// then waits about that long for each token, whatever prompts arrive. All is learned from the steps
// themselves.
class TimedStepBudget final : public StepBudget {
 public:
  // `most`: tokens of a step while nobody generates.
  TimedStepBudget(int32_t most, const StepLimits& limits);
  int32_t tokens(const StepLoad& load, Nanos now) override;
  void learn(const StepWork& work, Nanos duration) override;

 private:
  const int32_t most_;
  PromptRoom room_;
};

// Every step takes its time, no more: prompts get what the sequences that generate leave of it, and
// those are admitted only while they leave something. What a step takes was measured before; how
// far the machine is from that now (others use it too) is learned from the steps.
class CostedStepBudget final : public StepBudget {
 public:
  CostedStepBudget(const CostModel& costs, int32_t most, const StepLimits& limits);
  int32_t tokens(const StepLoad& load, Nanos now) override;
  bool admits(const StepLoad& load) const override;
  void learn(const StepWork& work, Nanos duration) override;

 private:
  Nanos slowed(Nanos time) const { return time * slowness_permille_ / 1000; }
  int32_t until_target(const StepLoad& load) const;

  const CostModel costs_;
  const int32_t most_;
  const StepLimits limits_;
  PromptRoom room_;
  int64_t slowness_permille_ = 1000;  // measured over predicted
};

}  // namespace hearth::engine
