// Curves of training runs for terminals and as SVG.
#pragma once

#include <string>
#include <vector>

#include "train/run_log.h"

namespace hearth::train {

struct PlotSize {
  int columns = 72;  // of the plot without its labels
  int rows = 18;
};

// Training loss as a line of dots, validation losses as circles, axes; several lines of text.
std::string draw_terminal(const RunCurves& run, const PlotSize& size = {});

// A whole SVG file: losses of all runs above, their gradient norms below.
std::string draw_svg(const std::vector<RunCurves>& runs);

}  // namespace hearth::train
