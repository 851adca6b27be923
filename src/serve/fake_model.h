// A model without weights, for tests of the API: its tokens are bytes, and what it says is written
// in the prompt. After the last "say " of the prompt comes the reply, up to the end of that line;
// without one it greets the world; "say forever" never ends. Everything is deterministic.
//
//   <think>...</think> is reasoning, <call>NAME ARGUMENTS</call> is a tool call.
#pragma once

#include <memory>

#include "engine/step_plan.h"
#include "serve/model_handle.h"

namespace hearth::serve {

// Ids 0 to 255 are bytes.
constexpr TokenId kFakeEnd = 256;
constexpr TokenId kFakeBegin = 257;
constexpr int32_t kFakeVocab = 258;
constexpr int32_t kFakeDimension = 4;

class FakeRunner final : public engine::Runner {
 public:
  engine::StepResult run(const engine::StepPlan& plan) override;
  // Each further step throws this, until it is empty again.
  void fail_with(std::string error) { failure_ = std::move(error); }

 private:
  std::string failure_;
};

// A handle named "fake" with everything but the runner.
ModelHandle fake_model();

}  // namespace hearth::serve
