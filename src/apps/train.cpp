// hearth train: trains a model as a config says, with a line of progress and a log.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <unistd.h>

#include "apps/commands.h"
#include "apps/exit_codes.h"
#include "apps/json_log.h"
#include "apps/local_ranks.h"
#include "apps/run_log.h"
#include "apps/train_machine.h"
#include "apps/train_plot.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "io/file.h"
#include "io/folder_lock.h"
#include "io/json.h"
#include "train/mpi_wire.h"
#include "train/socket_wire.h"
#include "train/trainer.h"

namespace hearth::apps {
namespace {

class TrainProgress final : public train::Observer {
 public:
  // peak_flops: of all ranks together.
  TrainProgress(const train::TrainConfig& config, double peak_flops)
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
    log_ = std::make_unique<JsonLog>(path);
  }

  void on_step(const train::StepReport& r) override {
    log_->write({{"step", r.step},
                 {"loss", r.loss},
                 {"grad_norm", r.grad_norm},
                 {"learning_rate", r.learning_rate},
                 {"tokens", r.tokens},
                 {"epoch", r.epoch},
                 {"left_out", r.left_out},
                 {"tokens_per_second", r.tokens_per_second},
                 {"share_of_peak", r.flops_per_second / peak_flops_},
                 {"reduce_seconds", r.reduce_seconds},
                 {"wait_seconds", r.wait_seconds}});
    const double seconds = r.tokens_per_second > 0
                               ? static_cast<double>(config_.batch.tokens) / r.tokens_per_second
                               : 0;
    left_.add_step(seconds);
    if (!terminal_ && r.step % 10 != 0 && r.step != config_.schedule.steps) return;
    std::fprintf(stderr,
                 "%sstep %lld/%lld  loss %.4f  lr %.2e  norm %.3f  %.0f tok/s  %.0f%% of peak  ETA "
                 "%s%s%s",
                 terminal_ ? "\r\033[K" : "", static_cast<long long>(r.step),
                 static_cast<long long>(config_.schedule.steps), r.loss, r.learning_rate,
                 r.grad_norm, r.tokens_per_second, 100 * r.flops_per_second / peak_flops_,
                 left_.of(config_.schedule.steps - r.step).c_str(),
                 r.left_out ? "  left out: a spike" : "", terminal_ && !r.left_out ? "" : "\n");
  }

  void on_validation(const train::ValidationReport& r) override {
    log_->write({{"step", r.step},
                 {"validation_loss", r.loss},
                 {"bits_per_byte", r.bits_per_byte},
                 {"validation_tokens", r.tokens}});
    std::fprintf(stderr, "%sstep %lld  validation loss %.4f  %.4f bits per byte\n",
                 terminal_ ? "\r\033[K" : "", static_cast<long long>(r.step), r.loss,
                 r.bits_per_byte);
  }

  void on_checkpoint(const train::CheckpointReport& r) override {
    if (r.failure.empty()) {
      log_->write({{"step", r.step},
                   {"checkpoint_bytes", r.bytes},
                   {"checkpoint_stored", r.stored},
                   {"stall_seconds", r.stall_seconds},
                   {"write_seconds", r.write_seconds}});
      return;
    }
    log_->write({{"step", r.step}, {"checkpoint_failure", r.failure}});
    std::fprintf(stderr,
                 "%swarning: the checkpoint of step %lld could not be written (%s); the run goes "
                 "on, and what was saved before stays\n",
                 terminal_ ? "\r\033[K" : "", static_cast<long long>(r.step), r.failure.c_str());
  }

  void on_sample(const train::SampleReport& r) override {
    log_->write({{"step", r.step}, {"prompt", r.prompt}, {"sample", r.text}});
    std::fprintf(stderr, "%sstep %lld  sample  %s│%s\n", terminal_ ? "\r\033[K" : "",
                 static_cast<long long>(r.step), r.prompt.c_str(), r.text.c_str());
  }

 private:
  const train::TrainConfig& config_;
  double peak_flops_;
  bool terminal_;
  TimeLeft left_;
  std::unique_ptr<JsonLog> log_;
};

// What ranks other than 0 say: only what rank 0 cannot know.
class Bystander final : public train::Observer {
 public:
  explicit Bystander(int rank) : rank_(rank) {}
  void on_start(const train::Model&, const train::DataStream&, int64_t) override {}
  void on_step(const train::StepReport&) override {}
  void on_validation(const train::ValidationReport&) override {}
  void on_checkpoint(const train::CheckpointReport& r) override {
    if (r.failure.empty()) return;
    log::warn("checkpoint not written rank={} step={} reason=\"{}\"", rank_, r.step, r.failure);
  }

 private:
  int rank_;
};

// One rank, or all there is; what it exits with. `neighbours`: ranks that share this machine's
// cores.
int train_as(const train::TrainConfig& config, train::Wire* wire, int neighbours) {
  const int rank = wire == nullptr ? 0 : wire->rank();
  const int ranks = wire == nullptr ? 1 : wire->size();
  int threads = static_cast<int>(config.run.threads);
  if (threads == 0) threads = std::max(1, backend::cpu::usable_cores() / neighbours);
  TrainMachine machine(threads);
  const SystemClock clock;
  train::Trainer trainer(config, machine.context(), clock, wire);
  std::unique_ptr<train::Observer> observer;
  if (rank == 0) {
    const DType type = config.run.precision == "bf16" ? DType::kBF16 : DType::kF32;
    const double peak = machine.measure_peak(type, clock);
    observer = std::make_unique<TrainProgress>(config, peak * ranks);
  } else {
    observer = std::make_unique<Bystander>(rank);
  }
  std::signal(SIGXFSZ, SIG_IGN);  // a file over its limit is a failed write, not the end
  const bool done = trainer.run(*observer, stop_on_signal());
  if (rank == 0 && done) {
    std::fprintf(stderr, "\nthe model is in %s/model\n", config.run.out.c_str());
  } else if (rank == 0) {
    std::fprintf(stderr, "\nstopped; the same command goes on from here\n");
  }
  return done ? 0 : kExitStopped;
}

// Says why a rank ends; the exit code.
int report_end(int rank, const std::exception& error) {
  std::fprintf(stderr, "hearth: rank %d: %s\n", rank, error.what());
  const auto* known = dynamic_cast<const Error*>(&error);
  return known != nullptr && known->code == ErrorCode::kUnavailable ? kExitRankLost : 1;
}

Nanos timeout_of(const train::TrainConfig& config) { return config.parallel.timeout_s * kSecond; }

int train_over_mpi(const train::TrainConfig& config) {
  const SystemClock clock;
  train::MpiWire wire(timeout_of(config), clock);
  try {
    std::optional<io::FolderLock> lock;
    if (wire.rank() == 0) lock.emplace(config.run.out);
    return train_as(config, wire.size() == 1 ? nullptr : &wire, wire.neighbours());
  } catch (const std::exception& error) {
    wire.abandon();
    return report_end(wire.rank(), error);
  }
}

int train_on_sockets(const train::TrainConfig& config, const LocalRank& local) {
  try {
    const SystemClock clock;
    train::SocketWire wire(local.rank, local.sockets, timeout_of(config), clock);
    return train_as(config, &wire, local.size);
  } catch (const std::exception& error) {
    return report_end(local.rank, error);
  }
}

int run_train(const std::string& path, const LocalRanksOptions& options) {
  const train::TrainConfig config = train::load_config(path);
  const bool by_mpi = train::started_by_mpi();
  if (by_mpi && options.ranks > 1) {
    throw_error(ErrorCode::kInvalidArgument, "--ranks", "mpirun has started the ranks already");
  }
  if (by_mpi) return train_over_mpi(config);
  const io::FolderLock lock(config.run.out);
  if (options.ranks > 1) {
    return run_local_ranks(options,
                           [&](const LocalRank& local) { return train_on_sockets(config, local); });
  }
  return train_as(config, nullptr, 1);
}

}  // namespace

void add_train_command(CLI::App& app) {
  auto path = std::make_shared<std::string>();
  auto show = std::make_shared<bool>(false);
  auto draw = std::make_shared<bool>(false);
  auto follow = std::make_shared<bool>(false);
  auto plot = std::make_shared<PlotOptions>();
  auto ranks = std::make_shared<LocalRanksOptions>();
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
  command->add_option("--ranks", ranks->ranks, "processes that train together on this machine")
      ->check(CLI::Range(1, 256));
  command
      ->add_option("--restarts", ranks->restarts,
                   "how often to go on from the last checkpoint after a rank was lost")
      ->check(CLI::Range(0, 1000000));
  command->footer(
      "  hearth train recipe.toml\n"
      "  mpirun -n 8 --hostfile HOSTS hearth train recipe.toml\n\n"
      "SIGINT and SIGTERM leave a checkpoint; the exit status is then 3, and the same\n"
      "command goes on. 75: a rank was lost.");
  command->callback([path, show, plot, draw, follow, ranks] {
    if (*show) {
      std::fputs(train::to_toml({}).c_str(), stdout);
    } else if (path->empty()) {
      throw CLI::RequiredError("CONFIG");
    } else if (*draw) {
      plot->run = *path;
      plot->mode = *follow ? PlotMode::kFollow : PlotMode::kOnce;
      plot_run(*plot);
    } else {
      if (const int code = run_train(*path, *ranks); code != 0) throw CLI::RuntimeError(code);
    }
  });
}

}  // namespace hearth::apps
