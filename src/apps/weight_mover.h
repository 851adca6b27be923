// Weights that are mapped from files go to huge pages while the server runs (docs/cpu_kernels.md).
#pragma once

#include <thread>

#include "apps/local_model.h"

namespace hearth::apps {

// A thread of the lowest priority that begins a little after the start, so as not to delay the
// first answers, and ends when all is moved. Weights for whose copies memory is too short stay
// where they are. The model outlives it.
class WeightMover {
 public:
  explicit WeightMover(const LocalModel& model);

 private:
  std::jthread thread_;
};

}  // namespace hearth::apps
