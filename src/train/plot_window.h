// What both kinds of plots share: the part of the plane they show, means of crowded curves, ticks.
#pragma once

#include <string>
#include <vector>

#include "train/run_log.h"

namespace hearth::train {

struct PlotWindow {
  double left = 0, right = 1, bottom = 0, top = 1;

  // 0 to 1 inside the window.
  double x(double step) const { return (step - left) / (right - left); }
  double y(double value) const { return (value - bottom) / (top - bottom); }
};

// Around all points but the few highest: the first steps of a run are far above the rest.
PlotWindow window_of(const std::vector<const Curve*>& curves);

// The mean of the points in each of `count` equal parts of the window; parts without points are
// left out.
Curve in_parts(const Curve& curve, const PlotWindow& window, int count);

// Where an axis from `from` to `to` has its ticks: about `count`, at round numbers.
std::vector<double> ticks(double from, double to, int count);

std::string tick_label(double value);

}  // namespace hearth::train
