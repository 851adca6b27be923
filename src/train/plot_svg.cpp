#include <algorithm>
#include <fmt/format.h>
#include <iterator>

#include "train/plot.h"
#include "train/plot_window.h"

namespace hearth::train {
namespace {

constexpr const char* kColours[] = {"#d9480f", "#1971c2", "#2f9e44", "#9c36b5", "#e8590c"};

struct Frame {
  double x = 60, y = 0, width = 800, height = 0;

  double across(const PlotWindow& w, double step) const { return x + w.x(step) * width; }
  double down(const PlotWindow& w, double value) const {
    return y + (1 - std::clamp(w.y(value), 0.0, 1.0)) * height;
  }
};

std::string polyline(const Frame& frame, const PlotWindow& window, const Curve& curve,
                     const char* colour) {
  std::string points;
  for (const CurvePoint& point : curve) {
    points += fmt::format("{:.1f},{:.1f} ", frame.across(window, point.step),
                          frame.down(window, point.value));
  }
  return fmt::format(R"(<polyline fill="none" stroke="{}" stroke-width="1.5" points="{}"/>)"
                     "\n",
                     colour, points);
}

std::string axes(const Frame& f, const PlotWindow& w, const char* title) {
  std::string svg =
      fmt::format(R"(<rect x="{}" y="{}" width="{}" height="{}" fill="none" stroke="#adb5bd"/>)"
                  "\n"
                  R"(<text x="{}" y="{}" font-weight="bold">{}</text>)"
                  "\n",
                  f.x, f.y, f.width, f.height, f.x, f.y - 8, title);
  for (double value : ticks(w.bottom, w.top, 6)) {
    svg += fmt::format(R"(<line x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}" stroke="#e9ecef"/>)"
                       R"(<text x="{3}" y="{4:.1f}" text-anchor="end">{5}</text>)"
                       "\n",
                       f.x, f.x + f.width, f.down(w, value), f.x - 6, f.down(w, value) + 4,
                       tick_label(value));
  }
  for (double step : ticks(w.left, w.right, 8)) {
    svg += fmt::format(R"(<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>)"
                       "\n",
                       f.across(w, step), f.y + f.height + 16, tick_label(step));
  }
  return svg;
}

std::string escaped(const std::string& text) {
  std::string result;
  for (char c : text) {
    if (c == '<') {
      result += "&lt;";
    } else if (c == '&') {
      result += "&amp;";
    } else {
      result += c;
    }
  }
  return result;
}

constexpr int kSvgParts = 400;  // points of one line

}  // namespace

std::string draw_svg(const std::vector<RunCurves>& runs) {
  const Frame loss_frame{.y = 40, .height = 300};
  const Frame norm_frame{.y = 410, .height = 120};
  std::vector<const Curve*> losses;
  std::vector<const Curve*> norms;
  for (const RunCurves& run : runs) {
    losses.push_back(&run.loss);
    losses.push_back(&run.validation);
    norms.push_back(&run.grad_norm);
  }
  const PlotWindow loss_window = window_of(losses);
  const PlotWindow norm_window = window_of(norms);
  std::string svg =
      R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 580" font-family="sans-serif" )"
      R"(font-size="12" fill="#343a40">)"
      "\n"
      R"(<rect width="900" height="580" fill="white"/>)"
      "\n";
  svg += axes(loss_frame, loss_window, "loss, nats a token (circles: validation)");
  svg += axes(norm_frame, norm_window, "gradient norm");
  for (size_t i = 0; i < runs.size(); ++i) {
    const char* colour = kColours[i % std::size(kColours)];
    svg +=
        polyline(loss_frame, loss_window, in_parts(runs[i].loss, loss_window, kSvgParts), colour);
    svg += polyline(norm_frame, norm_window, in_parts(runs[i].grad_norm, norm_window, kSvgParts),
                    colour);
    for (const CurvePoint& point : runs[i].validation) {
      svg += fmt::format(R"(<circle cx="{:.1f}" cy="{:.1f}" r="3" fill="white" stroke="{}"/>)"
                         "\n",
                         loss_frame.across(loss_window, point.step),
                         loss_frame.down(loss_window, point.value), colour);
    }
    svg += fmt::format(R"(<text x="850" y="{}" text-anchor="end" fill="{}">{}</text>)"
                       "\n",
                       60 + 16 * i, colour, escaped(runs[i].name));
  }
  return svg + "</svg>\n";
}

}  // namespace hearth::train
