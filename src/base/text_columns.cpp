#include "base/text_columns.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace hearth {
namespace {

struct Cut {
  std::string text;
  int blanks = 0;  // to the width
};

Cut cut(std::string_view text, int width) {
  Cut out;
  int columns = 0;
  for (size_t at = 0; at < text.size();) {
    size_t end = at + 1;
    while (end < text.size() && (text[end] & 0xc0) == 0x80) ++end;
    if (columns + 1 == width && end < text.size()) {
      out.text += "…";
      return out;
    }
    if (columns == width) break;
    out.text += text.substr(at, end - at);
    ++columns, at = end;
  }
  out.blanks = std::max(0, width - columns);
  return out;
}

}  // namespace

std::string fit(std::string_view text, int width) {
  const Cut part = cut(text, width);
  return part.text + std::string(static_cast<size_t>(part.blanks), ' ');
}

std::string fit_right(std::string_view text, int width) {
  const Cut part = cut(text, width);
  return std::string(static_cast<size_t>(part.blanks), ' ') + part.text;
}

std::string meter(double part, int width) {
  const auto full = static_cast<int>(std::lround(std::clamp(part, 0.0, 1.0) * width));
  std::string out;
  for (int i = 0; i < width; ++i) out += i < full ? "█" : "·";
  return out;
}

std::string short_duration(int64_t ms) {
  const int64_t s = std::max<int64_t>(0, ms) / 1'000;
  if (ms < 1'000) return fmt::format("{}ms", std::max<int64_t>(0, ms));
  if (s < 100) return fmt::format("{}s", s);
  if (s < 6'000) return fmt::format("{}m{:02}s", s / 60, s % 60);
  if (s < 360'000) return fmt::format("{}h{:02}m", s / 3'600, s / 60 % 60);
  return fmt::format("{}d{:02}h", s / 86'400, s / 3'600 % 24);
}

std::string trimmed_line(std::string line) {
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line + "\n";
}

}  // namespace hearth
