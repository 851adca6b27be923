#include "train/plot.h"

#include <cmath>
#include <fmt/format.h>
#include <gtest/gtest.h>

namespace hearth::train {
namespace {

std::string falling_log(int steps) {
  std::string log;
  for (int step = 1; step <= steps; ++step) {
    log += fmt::format("{{\"step\":{},\"loss\":{},\"grad_norm\":{}}}\n", step,
                       2 + 6 * std::exp(-step / 30.0), 1 + 1.0 / step);
    if (step % 50 == 0) log += fmt::format("{{\"step\":{},\"validation_loss\":2.5}}\n", step);
  }
  return log;
}

TEST(Plot, ReadsWhatARunWrites) {
  const RunCurves run = parse_run_log(falling_log(200) + "{\"step\": 201, \"lo", "a");
  EXPECT_EQ(run.loss.size(), 200u);
  EXPECT_EQ(run.grad_norm.size(), 200u);
  ASSERT_EQ(run.validation.size(), 4u);
  EXPECT_EQ(run.validation[1].step, 100);
  EXPECT_EQ(run.validation[1].value, 2.5);
}

TEST(Plot, ACurveThatFallsIsDrawnFalling) {
  const std::string text = draw_terminal(parse_run_log(falling_log(200), "a"), {40, 10});
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  ASSERT_EQ(lines.size(), 1u + 10u + 2u);
  EXPECT_NE(lines[0].find("validation"), std::string::npos);
  // Columns (not bytes) before the first and the last dot of a line.
  const auto dots = [](const std::string& line) {
    std::vector<int> columns;
    int column = 0;
    for (size_t i = line.find("│") + 3; i < line.size(); ++column) {
      const bool wide = (static_cast<unsigned char>(line[i]) & 0xe0) == 0xe0;
      if (wide && line.substr(i, 3) != "○") columns.push_back(column);
      i += wide ? 3 : 1;
    }
    return columns;
  };
  ASSERT_FALSE(dots(lines[1]).empty());
  ASSERT_FALSE(dots(lines[10]).empty());
  EXPECT_LT(dots(lines[1]).back(), 3);
  EXPECT_GT(dots(lines[10]).back(), 37);
  EXPECT_NE(lines.back().find("200"), std::string::npos);
}

TEST(Plot, NothingYetIsSaid) {
  EXPECT_NE(draw_terminal(parse_run_log("", "a")).find("no steps yet"), std::string::npos);
  EXPECT_NE(draw_svg({parse_run_log("", "a")}).find("</svg>"), std::string::npos);
}

TEST(Plot, SvgHasALineForEachRun) {
  const std::string svg =
      draw_svg({parse_run_log(falling_log(200), "one"), parse_run_log(falling_log(60), "a<b")});
  const auto count = [&](const char* what) {
    int found = 0;
    for (size_t at = svg.find(what); at != std::string::npos; at = svg.find(what, at + 1)) ++found;
    return found;
  };
  EXPECT_EQ(count("<polyline"), 4);
  EXPECT_EQ(count("<circle"), 5);
  EXPECT_EQ(count("a&lt;b"), 1);
  EXPECT_EQ(count("nan"), 0);
  EXPECT_EQ(count("inf"), 0);
}

TEST(Plot, OneStepIsDrawn) {
  const std::string one = "{\"step\":1,\"loss\":3,\"grad_norm\":1}\n";
  EXPECT_NE(draw_terminal(parse_run_log(one, "a")).find("loss"), std::string::npos);
  EXPECT_EQ(draw_svg({parse_run_log(one, "a")}).find("nan"), std::string::npos);
}

}  // namespace
}  // namespace hearth::train
