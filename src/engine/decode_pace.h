// What a step takes that only generates: the measure of how far prompts may stretch one.
//
// It is read off the steps without prompts. While prompts keep coming there are none, so the budget
// then leaves them out of a step now and then, to see (knows() says when).
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "engine/cost_model.h"

namespace hearth::engine {

class DecodePace {
 public:
  void learn(const StepWork& work, Nanos duration);
  // Whether it was measured lately, and with about as many sequences or just now.
  bool knows(int32_t generating) const;
  // 0: nothing was measured.
  Nanos time() const { return time_; }

 private:
  Nanos time_ = 0;
  int32_t generating_ = 0;  // when it was measured last
  int32_t since_ = 0;       // steps with prompts since then
};

}  // namespace hearth::engine
