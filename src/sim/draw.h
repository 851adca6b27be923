// A random number of a range, both ends included, for what a history makes up.
#pragma once

#include <cstdint>

#include "base/random.h"

namespace hearth::sim {

inline int32_t draw(Random& random, int32_t low, int32_t high) {
  return static_cast<int32_t>(random.between(low, high));
}

}  // namespace hearth::sim
