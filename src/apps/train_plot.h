// hearth train --plot: the curves of runs on the terminal and in an SVG file.
#pragma once

#include <string>

namespace hearth::apps {

enum class PlotMode { kOnce, kFollow };

struct PlotOptions {
  std::string run;                  // a run's TOML file, its folder, or its log.jsonl
  std::string svg;                  // where to write; empty: curves.svg beside the log
  PlotMode mode = PlotMode::kOnce;  // once, or again as the log grows
};

// kFollow draws again as the log grows, until a signal ends it.
void plot_run(const PlotOptions& options);

}  // namespace hearth::apps
