#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace hearth::train {

ScheduleKind parse_schedule(const std::string& name, const std::string& where) {
  if (name == "constant") return ScheduleKind::kConstant;
  if (name == "linear") return ScheduleKind::kLinear;
  if (name == "cosine") return ScheduleKind::kCosine;
  if (name == "wsd") return ScheduleKind::kWsd;
  throw_error(ErrorCode::kInvalidArgument, where,
              "expected constant, linear, cosine or wsd, came '{}'", name);
}

double Schedule::factor(int64_t step) const {
  if (step < warmup_steps) {
    return static_cast<double>(step + 1) / static_cast<double>(warmup_steps);
  }
  const double done = static_cast<double>(step - warmup_steps);
  const double all = static_cast<double>(std::max<int64_t>(1, steps - 1 - warmup_steps));
  const double part = std::min(1.0, done / all);
  const auto down = [&](double x) { return 1.0 - (1.0 - final_fraction) * x; };
  switch (kind) {
    case ScheduleKind::kConstant:
      return 1.0;
    case ScheduleKind::kLinear:
      return down(part);
    case ScheduleKind::kCosine:
      return down(0.5 - 0.5 * std::cos(std::numbers::pi * part));
    case ScheduleKind::kWsd: {
      const double begin = 1.0 - std::clamp(decay_fraction, 1e-9, 1.0);
      return part <= begin ? 1.0 : down((part - begin) / (1.0 - begin));
    }
  }
  return 1.0;
}

}  // namespace hearth::train
