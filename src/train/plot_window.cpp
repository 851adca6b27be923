#include "train/plot_window.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace hearth::train {
namespace {

constexpr size_t kShownPercent = 98;

double top_of(const Curve& curve) {
  std::vector<double> values;
  for (const CurvePoint& point : curve) values.push_back(point.value);
  std::sort(values.begin(), values.end());
  return values[(values.size() - 1) * kShownPercent / 100];
}

}  // namespace

PlotWindow window_of(const std::vector<const Curve*>& curves) {
  constexpr double kFar = 1e300;
  PlotWindow w{kFar, -kFar, kFar, -kFar};
  for (const Curve* curve : curves) {
    if (curve->empty()) continue;
    w.top = std::max(w.top, top_of(*curve));
    for (const CurvePoint& point : *curve) {
      w.left = std::min(w.left, point.step);
      w.right = std::max(w.right, point.step);
      w.bottom = std::min(w.bottom, point.value);
    }
  }
  if (w.right < w.left) return {};
  if (w.right == w.left) w.right = w.left + 1;
  const double margin = std::max(1e-6, 0.04 * (w.top - w.bottom));
  w.top += margin;
  w.bottom -= margin;
  return w;
}

Curve in_parts(const Curve& curve, const PlotWindow& window, int count) {
  std::vector<double> sums(static_cast<size_t>(count));
  std::vector<int> counts(static_cast<size_t>(count));
  for (const CurvePoint& point : curve) {
    const int part = static_cast<int>(window.x(point.step) * count);
    const auto at = static_cast<size_t>(std::clamp(part, 0, count - 1));
    sums[at] += point.value;
    ++counts[at];
  }
  Curve means;
  for (size_t i = 0; i < sums.size(); ++i) {
    if (counts[i] == 0) continue;
    const double middle = (static_cast<double>(i) + 0.5) / count;
    means.push_back({window.left + middle * (window.right - window.left), sums[i] / counts[i]});
  }
  return means;
}

std::vector<double> ticks(double from, double to, int count) {
  const double rough = (to - from) / count;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (double factor : {5.0, 2.0, 1.0}) {
    if (rough <= factor * power) step = factor * power;
  }
  std::vector<double> list;
  for (double at = std::ceil(from / step); at * step <= to; ++at) list.push_back(at * step);
  return list;
}

std::string tick_label(double value) {
  if (std::abs(value) >= 1e6) return fmt::format("{:g}M", value / 1e6);
  if (std::abs(value) >= 1e4) return fmt::format("{:g}k", value / 1e3);
  return fmt::format("{:g}", std::round(value * 1e6) / 1e6);
}

}  // namespace hearth::train
