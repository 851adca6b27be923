// How many tokens a step may hold, and how many may generate: a policy, so that a cost model can
// sell time instead of tokens without touching the scheduler.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "engine/cost_model.h"

namespace hearth::engine {

// What is known before a step is filled.
struct StepLoad {
  int32_t generating = 0;          // sequences that get their next token in any case
  int64_t generating_context = 0;  // tokens that those attend to
  int32_t prompts = 0;             // sequences with a prompt to compute, running or waiting
  int32_t prompt_context = 0;      // of the prompts in progress: most tokens computed already
  int32_t adapters = 0;            // different ones, of those who run
  int32_t adapter_rows = 0;        // generating sequences that use one
};

class StepBudget {
 public:
  virtual ~StepBudget() = default;
  // Tokens of the coming step. The scheduler keeps it between `generating` + 1 and
  // max_num_batched_tokens, so that no policy can stop the engine.
  virtual int32_t tokens(const StepLoad& load, Nanos now) = 0;
  // Whether so many may generate at once: what they take leaves room for prompts.
  virtual bool admits(const StepLoad& /*load*/) const { return true; }
  // How long the step took that was then planned, from plan to commit.
  virtual void learn(const StepWork& work, Nanos duration) = 0;
};

class FixedStepBudget final : public StepBudget {
 public:
  explicit FixedStepBudget(int32_t tokens) : tokens_(tokens) {}
  int32_t tokens(const StepLoad&, Nanos) override { return tokens_; }
  void learn(const StepWork&, Nanos) override {}

 private:
  int32_t tokens_;
};

// While somebody generates, prompts get as many tokens of a step as fit into a time: who generates
// then waits about that long for each token, whatever prompts arrive. What a token of a prompt
// costs is learned from the steps themselves.
class TimedStepBudget final : public StepBudget {
 public:
  // `most`: tokens of a step while nobody generates.
  TimedStepBudget(int32_t most, Nanos target);
  int32_t tokens(const StepLoad& load, Nanos now) override;
  void learn(const StepWork& work, Nanos duration) override;

 private:
  const int32_t most_;
  const Nanos target_;
  Nanos per_token_;
};

// Every step takes its time, no more: prompts get what the sequences that generate leave of it, and
// those are admitted only while they leave something. What a step takes was measured before; how
// far the machine is from that now (others use it too) is learned from the steps.
class CostedStepBudget final : public StepBudget {
 public:
  CostedStepBudget(const CostModel& costs, int32_t most, Nanos target);
  int32_t tokens(const StepLoad& load, Nanos now) override;
  bool admits(const StepLoad& load) const override;
  void learn(const StepWork& work, Nanos duration) override;

 private:
  Nanos slowed(Nanos time) const { return time * slowness_permille_ / 1000; }

  const CostModel costs_;
  const int32_t most_;
  const Nanos target_;
  int64_t slowness_permille_ = 1000;  // measured over predicted
};

}  // namespace hearth::engine
