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
};

class FixedStepBudget final : public StepBudget {
 public:
  explicit FixedStepBudget(int32_t tokens) : tokens_(tokens) {}
  int32_t tokens(const StepLoad&, Nanos) override { return tokens_; }

 private:
  int32_t tokens_;
};

}  // namespace hearth::engine
