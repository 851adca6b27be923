// A cost model from measured steps: least squares with coefficients that are not negative. Of the
// few features every set is tried and the best one taken, so that the answer is exact and the same
// each time.
#pragma once

#include <cstdint>
#include <span>

#include "engine/cost_model.h"

namespace hearth::flywheel {

struct StepSample {
  engine::StepWork work;
  Nanos duration = 0;
};

// Errors count as shares of a step, or of a third of the longest where it is shorter. Throws
// Error{kInvalidArgument} when there are too few samples, or none with prompts.
engine::CostModel fit_costs(std::span<const StepSample> samples);

struct FitError {
  double mean = 0;  // of |predicted - measured|, as shares
  double p95 = 0;
  double largest = 0;
};

FitError error_of(const engine::CostModel& costs, std::span<const StepSample> samples);

}  // namespace hearth::flywheel
