// How many tokens a step may hold: a policy, so that a cost model can sell time instead of tokens
// without touching the scheduler.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace hearth::engine {

// What is known before a step is filled.
struct StepLoad {
  int32_t generating = 0;          // sequences that get their next token in any case
  int64_t generating_context = 0;  // tokens that those attend to
  int32_t prompts = 0;             // sequences with a prompt to compute, running or waiting
};

class StepBudget {
 public:
  virtual ~StepBudget() = default;
  // Tokens of the coming step. The scheduler keeps it between `generating` + 1 and
  // max_num_batched_tokens, so that no policy can stop the engine.
  virtual int32_t tokens(const StepLoad& load, Nanos now) = 0;
  // How long the step took that was then planned, from plan to commit.
  virtual void learn(int32_t tokens, Nanos duration) = 0;
};

class FixedStepBudget final : public StepBudget {
 public:
  explicit FixedStepBudget(int32_t tokens) : tokens_(tokens) {}
  int32_t tokens(const StepLoad&, Nanos) override { return tokens_; }
  void learn(int32_t, Nanos) override {}

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
  void learn(int32_t tokens, Nanos duration) override;

 private:
  const int32_t most_;
  const Nanos target_;
  Nanos per_token_;
};

}  // namespace hearth::engine
