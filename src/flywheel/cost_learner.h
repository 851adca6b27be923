// Costs from the steps that are computed anyway, where nobody measured them before: enough to price
// tokens by, not to promise a capacity.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "flywheel/cost_fit.h"

namespace hearth::flywheel {

// One thread at a time.
class CostLearner {
 public:
  // A fit now and then, of the last steps; nothing while they tell too little.
  std::optional<engine::CostModel> learn(const engine::StepWork& work, Nanos duration);

 private:
  bool telling() const;

  std::vector<StepSample> samples_;  // the last kKept, in a ring
  size_t next_ = 0;
  int32_t since_fit_ = 0;
};

}  // namespace hearth::flywheel
