#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <fmt/format.h>

#include "train/plot.h"
#include "train/plot_window.h"

namespace hearth::train {
namespace {

// Two by four dots in each character (Braille patterns).
class DotCanvas {
 public:
  explicit DotCanvas(const PlotSize& size)
      : size_(size), cells_(static_cast<size_t>(size.columns * size.rows)) {}

  int width() const { return 2 * size_.columns; }
  int height() const { return 4 * size_.rows; }

  void dot(int x, int y) {
    constexpr std::array<uint8_t, 8> kBits = {0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80};
    if (x < 0 || y < 0 || x >= width() || y >= height()) return;
    cells_[cell(x, y)].dots |= kBits[static_cast<size_t>(y % 4 * 2 + x % 2)];
  }
  void mark(int x, int y) {
    if (x >= 0 && y >= 0 && x < width() && y < height()) cells_[cell(x, y)].marked = true;
  }
  std::string row(int index) const {
    std::string text;
    for (int column = 0; column < size_.columns; ++column) {
      const Cell& c = cells_[static_cast<size_t>(index * size_.columns + column)];
      if (c.marked) {
        text += "○";
      } else if (c.dots == 0) {
        text += " ";
      } else {
        // U+2800 + dots in UTF-8.
        text += '\xe2';
        text += static_cast<char>(0xa0 | (c.dots >> 6));
        text += static_cast<char>(0x80 | (c.dots & 0x3f));
      }
    }
    return text;
  }

 private:
  struct Cell {
    uint8_t dots = 0;
    bool marked = false;
  };
  size_t cell(int x, int y) const { return static_cast<size_t>(y / 4 * size_.columns + x / 2); }

  PlotSize size_;
  std::vector<Cell> cells_;
};

int dot_row(const PlotWindow& window, const DotCanvas& canvas, double value) {
  return static_cast<int>(std::lround((1 - window.y(value)) * (canvas.height() - 1)));
}

int dot_column(const PlotWindow& window, const DotCanvas& canvas, double step) {
  return static_cast<int>(std::lround(window.x(step) * (canvas.width() - 1)));
}

void draw_line(DotCanvas& canvas, const PlotWindow& window, const Curve& curve) {
  int left = -1;
  int before = 0;
  for (const CurvePoint& point : curve) {
    const int right = dot_column(window, canvas, point.step);
    const int y = dot_row(window, canvas, point.value);
    if (left < 0) {
      left = right;
      before = y;
    }
    const int wide = std::max(1, right - left);
    for (int x = left; x <= right; ++x) {
      // From where the line enters the column to where it leaves it.
      const int from = before + (y - before) * (x - left) / wide;
      const int to = before + (y - before) * std::min(x + 1 - left, wide) / wide;
      for (int dot = std::min(from, to); dot <= std::max(from, to); ++dot) canvas.dot(x, dot);
    }
    left = right;
    before = y;
  }
}

constexpr int kLabelWidth = 8;

// Which rows of text carry a label of the vertical axis.
std::vector<std::string> row_labels(const PlotWindow& window, const DotCanvas& canvas, int rows) {
  std::vector<std::string> labels(static_cast<size_t>(rows));
  for (double value : ticks(window.bottom, window.top, 5)) {
    const int row = dot_row(window, canvas, value) / 4;
    if (row >= 0 && row < rows) labels[static_cast<size_t>(row)] = tick_label(value);
  }
  return labels;
}

}  // namespace

std::string draw_terminal(const RunCurves& run, const PlotSize& size) {
  if (run.loss.empty()) return fmt::format("{}: no steps yet\n", run.name);
  const PlotWindow window = window_of({&run.loss, &run.validation});
  DotCanvas canvas(size);
  draw_line(canvas, window, in_parts(run.loss, window, canvas.width()));
  for (const CurvePoint& point : run.validation) {
    canvas.mark(dot_column(window, canvas, point.step), dot_row(window, canvas, point.value));
  }
  const std::vector<std::string> labels = row_labels(window, canvas, size.rows);
  std::string text = fmt::format("{:>{}}  {}: loss{}\n", "", kLabelWidth, run.name,
                                 run.validation.empty() ? "" : ", ○ validation");
  for (int row = 0; row < size.rows; ++row) {
    text +=
        fmt::format("{:>{}} │{}\n", labels[static_cast<size_t>(row)], kLabelWidth, canvas.row(row));
  }
  const std::string left = tick_label(window.left);
  const std::string right = tick_label(window.right);
  text += fmt::format("{:>{}} └", "", kLabelWidth);
  for (int i = 0; i < size.columns; ++i) text += "─";
  text += fmt::format("\n{:>{}}  {}{:>{}}\n", "", kLabelWidth, left, right,
                      std::max(1, size.columns - static_cast<int>(left.size())));
  return text;
}

}  // namespace hearth::train
