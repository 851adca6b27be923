// hearth train: trains a model as a config says, with a line of progress and a log.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <unistd.h>

#include "apps/commands.h"
#include "apps/run_log.h"
#include "apps/train_machine.h"
#include "apps/train_plot.h"
#include "base/clock.h"
#include "io/file.h"
#include "io/json.h"
#include "train/trainer.h"

namespace hearth::apps {
namespace {

class Progress final : public train::Observer {
 public:
  Progress(const train::TrainConfig& config, double peak_flops)
      : config_(config), peak_flops_(peak_flops), terminal_(isatty(STDERR_FILENO) != 0) {}

  void on_start(const train::Model& model, const train::DataStream& data,
                int64_t first_step) override {
    auto& parameters = const_cast<train::Model&>(model).parameters();
    std::fprintf(stderr,
                 "%.2f M parameters, %.2f M training tokens in %lld pieces, measured peak %.0f "
                 "GFLOP/s\n",
                 static_cast<double>(parameters.count()) / 1e6,
                 static_cast<double>(data.tokens()) / 1e6, static_cast<long long>(data.pieces()),
                 peak_flops_ / 1e9);
    if (first_step > 0) {
      std::fprintf(stderr, "goes on after step %lld\n", static_cast<long long>(first_step));
    }
    const std::string path = config_.run.out + "/log.jsonl";
    io::write_file_atomic(path, log_lines_until(path, first_step));
    log_.open(path, std::ios::app);
  }

  void on_step(const train::StepReport& r) override {
    log_ << io::dump_json({{"step", r.step},
                           {"loss", r.loss},
                           {"grad_norm", r.grad_norm},
                           {"learning_rate", r.learning_rate},
                           {"tokens", r.tokens},
                           {"epoch", r.epoch},
                           {"left_out", r.left_out},
                           {"tokens_per_second", r.tokens_per_second},
                           {"share_of_peak", r.flops_per_second / peak_flops_}})
         << std::endl;
    const double seconds = r.tokens_per_second > 0
                               ? static_cast<double>(config_.batch.tokens) / r.tokens_per_second
                               : 0;
    mean_seconds_ = mean_seconds_ == 0 ? seconds : 0.95 * mean_seconds_ + 0.05 * seconds;
    if (!terminal_ && r.step % 10 != 0 && r.step != config_.schedule.steps) return;
    const auto left = static_cast<double>(config_.schedule.steps - r.step);
    std::fprintf(stderr,
                 "%sstep %lld/%lld  loss %.4f  lr %.2e  norm %.3f  %.0f tok/s  %.0f%% of peak  ETA "
                 "%s%s%s",
                 terminal_ ? "\r\033[K" : "", static_cast<long long>(r.step),
                 static_cast<long long>(config_.schedule.steps), r.loss, r.learning_rate,
                 r.grad_norm, r.tokens_per_second, 100 * r.flops_per_second / peak_flops_,
                 short_time(left * mean_seconds_).c_str(), r.left_out ? "  left out: a spike" : "",
                 terminal_ && !r.left_out ? "" : "\n");
  }

  void on_validation(const train::ValidationReport& r) override {
    log_ << io::dump_json({{"step", r.step},
                           {"validation_loss", r.loss},
                           {"bits_per_byte", r.bits_per_byte},
                           {"validation_tokens", r.tokens}})
         << std::endl;
    std::fprintf(stderr, "%sstep %lld  validation loss %.4f  %.4f bits per byte\n",
                 terminal_ ? "\r\033[K" : "", static_cast<long long>(r.step), r.loss,
                 r.bits_per_byte);
  }

 private:
  const train::TrainConfig& config_;
  double peak_flops_;
  bool terminal_;
  double mean_seconds_ = 0;
  std::ofstream log_;
};

void run_train(const std::string& path) {
  const train::TrainConfig config = train::load_config(path);
  TrainMachine machine(static_cast<int>(config.run.threads));
  const SystemClock clock;
  const double peak =
      machine.measure_peak(config.run.precision == "bf16" ? DType::kBF16 : DType::kF32, clock);
  train::Trainer trainer(config, machine.context(), clock);
  Progress progress(config, peak);
  if (trainer.run(progress, stop_on_signal())) {
    std::fprintf(stderr, "\nthe model is in %s/model\n", config.run.out.c_str());
  } else {
    std::fprintf(stderr, "\nstopped; the same command goes on from here\n");
  }
}

}  // namespace

void add_train_command(CLI::App& app) {
  auto path = std::make_shared<std::string>();
  auto show = std::make_shared<bool>(false);
  auto draw = std::make_shared<bool>(false);
  auto follow = std::make_shared<bool>(false);
  auto plot = std::make_shared<PlotOptions>();
  CLI::App* command = app.add_subcommand("train", "Train a language model as a TOML file says");
  command->add_option("CONFIG", *path,
                      "the run: model, data, optimizer, schedule (docs/training.md)");
  command->add_flag("--defaults", *show, "print every field with its default and leave");
  CLI::Option* drawing = command->add_flag(
      "--plot", *draw,
      "draw the losses of CONFIG's run, its folder or its log, instead of training");
  command->add_flag("--follow", *follow, "draw again as the run goes on")->needs(drawing);
  command->add_option("--svg", plot->svg, "where the picture goes; else curves.svg beside the log")
      ->needs(drawing);
  command->callback([path, show, plot, draw, follow] {
    if (*show) {
      std::fputs(train::to_toml({}).c_str(), stdout);
    } else if (path->empty()) {
      throw CLI::RequiredError("CONFIG");
    } else if (*draw) {
      plot->run = *path;
      plot->mode = *follow ? PlotMode::kFollow : PlotMode::kOnce;
      plot_run(*plot);
    } else {
      run_train(*path);
    }
  });
}

}  // namespace hearth::apps
