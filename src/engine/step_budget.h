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
  int32_t prompts_due = 0;         // ... and soon done, with a slot, of no lower class than those
  int32_t prompt_context = 0;      // of the prompts in progress: most tokens computed already
  int32_t adapters = 0;            // different ones, of those who run
  int32_t adapter_rows = 0;        // generating sequences that use one
  int32_t owed = 0;                // tokens of prompts that may take the step up to its target
  bool idle = false;               // batch work alone: who comes has only this step to wait for
};

class StepBudget {
 public:
  virtual ~StepBudget() = default;
  // Tokens of the coming step. The scheduler keeps it between `generating` and
  // max_num_batched_tokens, and has prompts get on in every other step at least, so that no policy
  // can stop the engine. It may be asked about several loads before one of them is run.
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

}  // namespace hearth::engine
