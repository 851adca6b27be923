// Learning-rate schedules: a factor in [0, 1] on the peak rate for each step.
#pragma once

#include <cstdint>
#include <string>

namespace hearth::train {

enum class ScheduleKind : uint8_t {
  kConstant,
  kLinear,  // straight down to final_fraction
  kCosine,  // half a cosine down to final_fraction
  kWsd,  // warm-up, stable, decay: flat until the last decay_fraction of the steps, then straight
};

// One of constant, linear, cosine, wsd; anything else throws Error naming `where`.
ScheduleKind parse_schedule(const std::string& name, const std::string& where);

struct Schedule {
  ScheduleKind kind = ScheduleKind::kCosine;
  int64_t steps = 0;
  int64_t warmup_steps = 0;     // straight up from 0 before anything else
  double final_fraction = 0.1;  // of the peak, at the last step
  double decay_fraction = 0.2;  // of all steps; kWsd only
  // The factor for step `step`, counted from 0. A step after the last keeps the last factor.
  double factor(int64_t step) const;
};

}  // namespace hearth::train
