#include "apps/train_plot.h"

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <thread>
#include <vector>

#include "base/error.h"
#include "io/file.h"
#include "train/config.h"
#include "train/plot.h"

namespace hearth::apps {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kFollowEvery{2};

std::string log_of(const std::string& run) {
  if (run.ends_with(".toml")) return train::load_config(run).run.out + "/log.jsonl";
  return fs::is_directory(run) ? run + "/log.jsonl" : run;
}

std::string name_of(const std::string& log) {
  return fs::path(log).parent_path().filename().string();
}

// Returns the number of steps drawn.
size_t draw(const std::string& log, const std::string& svg) {
  if (!io::file_exists(log)) {
    throw_error(ErrorCode::kNotFound, log, "no log of a run; name its TOML file or its folder");
  }
  const train::RunCurves run = train::parse_run_log(io::read_file(log), name_of(log));
  std::fputs(train::draw_terminal(run).c_str(), stdout);
  io::write_file_atomic(svg, train::draw_svg({run}));
  return run.loss.size();
}

}  // namespace

void plot_run(const PlotOptions& options) {
  const std::string log = log_of(options.run);
  const std::string svg =
      options.svg.empty() ? (fs::path(log).parent_path() / "curves.svg").string() : options.svg;
  size_t drawn = draw(log, svg);
  std::fprintf(stderr, "the same as a picture: %s\n", svg.c_str());
  while (options.mode == PlotMode::kFollow) {
    std::this_thread::sleep_for(kFollowEvery);
    const size_t steps = train::parse_run_log(io::read_file(log), name_of(log)).loss.size();
    if (steps == drawn) continue;
    std::fputs("\033[H\033[J", stdout);  // from the top of a clean screen
    drawn = draw(log, svg);
    std::fflush(stdout);
  }
}

}  // namespace hearth::apps
