// How many tokens of prompts join a step of sequences that generate, by what such steps took
// lately, with prompts and without.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "engine/chunk_cost.h"
#include "engine/cost_model.h"
#include "engine/decode_pace.h"
#include "engine/step_budget.h"

namespace hearth::engine {

// How long a step with prompts in it may take while somebody generates; 0: that does not bound it.
struct StepLimits {
  // ... in all.
  Nanos target = 0;
  // ... of what it would take without them, once those that are due generate too.
  int32_t stretch_permille = 0;
};

// The largest chunk that fits, by halving: its time grows with every token of it.
template <typename Fits>
int32_t largest_chunk(int32_t most, const Fits& fits) {
  int32_t chunk = 0, over = most + 1;
  while (over - chunk > 1) {
    const int32_t middle = chunk + (over - chunk) / 2;
    (fits(middle) ? chunk : over) = middle;
  }
  return chunk;
}

class PromptRoom {
 public:
  explicit PromptRoom(const StepLimits& limits);

  void learn(const StepWork& work, Nanos duration);
  // False: it is time for a step without prompts, to see what that takes.
  bool knows(const StepLoad& load) const { return pace_.knows(load.generating); }
  // As many as fit, at most `most`: into the target, and into that and the stretch.
  int32_t until_target(const StepLoad& load, int32_t most) const;
  int32_t until_stretch(const StepLoad& load, int32_t most) const;

 private:
  Nanos room_in_target() const;
  Nanos room_in_stretch() const;  // while none is due
  int32_t fitting(Nanos room, const StepLoad& load, int32_t most) const;

  const StepLimits limits_;
  DecodePace pace_;
  ChunkCost cost_;
  bool told_ = false;   // steps of prompts were seen
  bool mixed_ = false;  // ... with both
};

}  // namespace hearth::engine
