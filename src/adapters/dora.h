// DoRA (Liu et al. 2024) as serving needs it: the rows of W + scale · B·A are brought to the
// lengths that were learnt, which comes to a gain on each output.
#pragma once

#include <vector>

#include "adapters/binding.h"

namespace hearth::adapters {

struct DoraGain {
  std::vector<float> gain;   // [out] magnitude / length of the row
  std::vector<float> shift;  // [out] (1 - gain) · bias: the bias itself is not rescaled
};

// For one part with a magnitude. Reads all of the projection's weights as they are served (of a
// quantised base: as quantised) and costs rank products for each: done once an adapter.
DoraGain dora_gain(const BoundPart& part, const nn::Projection& projection);

}  // namespace hearth::adapters
