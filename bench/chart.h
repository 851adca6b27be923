// Charts of measurements as SVG: some lines over the same few values of x, panel beside panel.
// Readable on a light and on a dark page.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fmt/format.h>
#include <span>
#include <string>
#include <vector>

namespace hearth::bench {

struct Series {
  std::string name;
  std::vector<double> values;  // one for each x
};

struct Chart {
  std::string title;
  std::vector<Series> series;
  std::vector<int32_t> x;  // evenly spaced, whatever the numbers
};

constexpr double kPanelWidth = 460, kPanelHeight = 280, kLeft = 56, kRight = 14, kTop = 56;
constexpr double kBottom = 34, kLegendLine = 17;
constexpr const char* kColours[] = {"#d9772b", "#2f7fc1", "#3d9a5f", "#b0528f", "#8a7a2e",
                                    "#5a6fd0", "#c04b4b", "#3a9a9a", "#7d7d7d"};

inline std::string colour(size_t i) { return kColours[i % std::size(kColours)]; }

// 1, 2 or 5 times a power of ten, so that about four fit below `top`.
inline double tick_of(double top) {
  const double rough = top / 4;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  const double lead = rough / power;
  return power * (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
}

inline std::string panel(const Chart& chart, double at) {
  double top = 1e-9;
  for (const Series& series : chart.series) {
    for (const double value : series.values) top = std::max(top, value);
  }
  top *= 1.08;
  const double width = kPanelWidth - kLeft - kRight, height = kPanelHeight - kTop - kBottom;
  const double steps = std::max(1.0, static_cast<double>(chart.x.size()) - 1);
  const auto x_of = [&](size_t i) { return at + kLeft + width * static_cast<double>(i) / steps; };
  const auto y_of = [&](double value) { return kTop + height * (1 - value / top); };
  std::string out = fmt::format(R"(<text x="{:.0f}" y="44" font-weight="600">{}</text>)",
                                at + kLeft, chart.title);
  for (double value = 0; value <= top; value += tick_of(top)) {
    out += fmt::format(
        R"(<line x1="{0:.1f}" x2="{1:.1f}" y1="{2:.1f}" y2="{2:.1f}" )"
        R"(stroke="#8884" /><text x="{3:.1f}" y="{4:.1f}" text-anchor="end">{5:g}</text>)",
        at + kLeft, at + kLeft + width, y_of(value), at + kLeft - 6, y_of(value) + 4, value);
  }
  for (size_t i = 0; i < chart.x.size(); ++i) {
    out += fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>)", x_of(i),
                       kTop + height + 18, chart.x[i]);
  }
  for (size_t s = 0; s < chart.series.size(); ++s) {
    std::string points;
    for (size_t i = 0; i < chart.series[s].values.size(); ++i) {
      const double x = x_of(i), y = y_of(chart.series[s].values[i]);
      points += fmt::format("{:.1f},{:.1f} ", x, y);
      out += fmt::format(R"(<circle cx="{:.1f}" cy="{:.1f}" r="3" fill="{}"/>)", x, y, colour(s));
    }
    out += fmt::format(R"(<polyline points="{}" fill="none" stroke="{}" stroke-width="2"/>)",
                       points, colour(s));
  }
  return out;
}

inline std::string svg(const std::string& title, std::span<const Chart> charts) {
  const size_t names = charts.empty() ? 0 : charts[0].series.size();
  const double legend = std::ceil(static_cast<double>(names) / 3) * kLegendLine;
  const double width = kPanelWidth * static_cast<double>(charts.size());
  std::string out =
      fmt::format(R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0:.0f} {1:.0f}" )"
                  R"(font-family="system-ui, sans-serif" font-size="12" fill="#888">)"
                  R"(<text x="{2:.0f}" y="22" font-size="15" font-weight="600">{3}</text>)",
                  width, kPanelHeight + legend + 8, kLeft, title);
  for (size_t i = 0; i < charts.size(); ++i) {
    out += panel(charts[i], kPanelWidth * static_cast<double>(i));
  }
  for (size_t i = 0; i < names; ++i) {
    const double x = kLeft + static_cast<double>(i % 3) * (width - kLeft) / 3;
    const double y = kPanelHeight + 12 + static_cast<double>(i / 3) * kLegendLine;
    out += fmt::format(
        R"(<rect x="{:.0f}" y="{:.0f}" width="14" height="4" fill="{}"/><text x="{:.0f}" y="{:.0f}">{}</text>)",
        x, y - 6, colour(i), x + 20, y, charts[0].series[i].name);
  }
  return out + "</svg>\n";
}

}  // namespace hearth::bench
