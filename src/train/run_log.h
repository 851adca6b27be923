// The log of a training run (run.out/log.jsonl) as curves.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hearth::train {

struct CurvePoint {
  double step = 0;
  double value = 0;
};
using Curve = std::vector<CurvePoint>;

struct RunCurves {
  std::string name;  // for the legend
  Curve loss;
  Curve validation;
  Curve grad_norm;
};

// Lines that are no JSON (the last of a run that is being written) are left out.
RunCurves parse_run_log(std::string_view text, const std::string& name);

}  // namespace hearth::train
