// hearth tune: an adapter for a model, from conversations or preferences, with a line of progress,
// a log, and the memory it took beside what the planner expected.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <unistd.h>
#include <vector>

#include "apps/commands.h"
#include "apps/exit_codes.h"
#include "apps/json_log.h"
#include "apps/run_log.h"
#include "apps/train_machine.h"
#include "base/clock.h"
#include "io/file.h"
#include "io/folder_lock.h"
#include "io/json.h"
#include "train/plan_table.h"
#include "train/tuner.h"

namespace hearth::apps {
namespace {

using train::bytes_text;
using train::count_text;

// What the command line changes of the configuration.
struct Tune {
  std::string what;  // CONFIG.toml, or the folder of a model
  std::vector<std::string> data;
  std::optional<std::string> out, base, method, from;
  std::optional<int64_t> rank, steps, examples, seed, threads, context;
  std::optional<double> alpha, dropout, epochs, learning_rate, beta, validation;
  std::vector<std::string> targets;
  bool dora = false;
  bool rslora = false;
  bool defaults = false;
};

train::TuneConfig config_of(const Tune& t) {
  const bool file = t.what.ends_with(".toml");
  train::TuneConfig c = file ? train::load_tune_config(t.what) : train::TuneConfig{};
  if (!file) c.model.from = t.what;
  if (!file && !t.alpha && t.rank) c.adapter.lora_alpha = 2.0 * static_cast<double>(*t.rank);
  const auto set = [](auto& field, const auto& flag) {
    if (flag) field = *flag;
  };
  set(c.run.out, t.out);
  set(c.model.base, t.base);
  set(c.method.name, t.method);
  set(c.adapter.from, t.from);
  set(c.adapter.r, t.rank);
  set(c.schedule.steps, t.steps);
  set(c.batch.examples, t.examples);
  set(c.run.seed, t.seed);
  set(c.run.threads, t.threads);
  set(c.data.context, t.context);
  set(c.adapter.lora_alpha, t.alpha);
  set(c.adapter.lora_dropout, t.dropout);
  set(c.schedule.epochs, t.epochs);
  set(c.optimizer.learning_rate, t.learning_rate);
  set(c.method.beta, t.beta);
  set(c.data.validation_share, t.validation);
  if (!t.data.empty()) c.data.train = t.data;
  if (!t.targets.empty()) c.adapter.target_modules = t.targets;
  c.adapter.use_dora = c.adapter.use_dora || t.dora;
  c.adapter.use_rslora = c.adapter.use_rslora || t.rslora;
  train::check_tune_config(c, file ? t.what : "hearth tune");
  return c;
}

class TuneProgress final : public train::TuneObserver {
 public:
  TuneProgress(const train::TuneConfig& config, double peak_flops, int64_t memory_before)
      : config_(config),
        peak_flops_(peak_flops),
        memory_before_(memory_before),
        terminal_(isatty(STDERR_FILENO) != 0) {}

  void on_start(const train::TuneStart& start) override {
    steps_ = start.steps;
    planned_ = start.planned;
    std::fprintf(
        stderr,
        "base %s parameters in %s; adapter %s in %lld modules (%.2f %%)\n"
        "%zu examples, %s tokens to learn%s\n",
        count_text(start.base_parameters).c_str(), config_.model.base.c_str(),
        count_text(start.trained_parameters).c_str(), static_cast<long long>(start.modules),
        100.0 * static_cast<double>(start.trained_parameters) /
            static_cast<double>(start.base_parameters),
        start.data.examples.size(), count_text(start.data.learned()).c_str(), notes(start).c_str());
    if (start.first_step > 0) {
      std::fprintf(stderr, "goes on after step %lld\n", static_cast<long long>(start.first_step));
    }
    const std::string path = config_.run.out + "/log.jsonl";
    io::write_file_atomic(path, log_lines_until(path, start.first_step));
    log_ = std::make_unique<JsonLog>(path);
  }

  void on_step(const train::TuneStep& r) override {
    const double share = r.flops_per_second / peak_flops_;
    io::Json line = {{"step", r.step},           {"loss", r.loss},
                     {"grad_norm", r.grad_norm}, {"learning_rate", r.learning_rate},
                     {"tokens", r.tokens},       {"epoch", r.epoch},
                     {"left_out", r.left_out},   {"tokens_per_second", r.tokens_per_second},
                     {"share_of_peak", share}};
    if (preferences()) {
      line["accuracy"] = r.accuracy;
      line["margin"] = r.margin;
    }
    log_->write(line);
    left_.add_step(r.seconds);
    if (!terminal_ && r.step % 10 != 0 && r.step != steps_) return;
    std::fprintf(stderr,
                 "%sstep %lld/%lld  loss %.4f%s  lr %.2e  norm %.3f  %.0f tok/s  %.0f%% of peak  "
                 "ETA %s%s",
                 terminal_ ? "\r\033[K" : "", static_cast<long long>(r.step),
                 static_cast<long long>(steps_), r.loss, judged(r.accuracy, r.margin).c_str(),
                 r.learning_rate, r.grad_norm, r.tokens_per_second, 100 * share,
                 left_.of(steps_ - r.step).c_str(),
                 r.left_out ? "  left out: not finite\n" : (terminal_ ? "" : "\n"));
  }

  void on_validation(const train::TuneValidation& r) override {
    io::Json line = {{"step", r.step}, {"validation_loss", r.loss}};
    if (preferences()) {
      line["validation_accuracy"] = r.accuracy;
      line["validation_margin"] = r.margin;
    }
    log_->write(line);
    std::fprintf(stderr, "%sstep %lld  validation loss %.4f%s\n", terminal_ ? "\r\033[K" : "",
                 static_cast<long long>(r.step), r.loss, judged(r.accuracy, r.margin).c_str());
  }

  // Peak of the process, less what it was before the model came.
  void report_memory() {
    const auto measured = static_cast<double>(peak_memory_bytes() - memory_before_);
    const train::MemoryPieces& p = planned_;
    std::fprintf(stderr,
                 "%smemory: %s at the peak; planned %s (weights %s, gradients and optimizer %s, "
                 "activations %s, logits %s)\n",
                 terminal_ ? "\n" : "", bytes_text(measured).c_str(), bytes_text(p.total()).c_str(),
                 bytes_text(p.weights).c_str(),
                 bytes_text(p.gradients + p.master + p.moments).c_str(),
                 bytes_text(p.activations).c_str(), bytes_text(p.logits).c_str());
    log_->write({{"peak_memory_bytes", measured}, {"planned_bytes", p.total()}});
  }

 private:
  bool preferences() const { return config_.method.name == "dpo"; }
  std::string judged(double accuracy, double margin) const {
    if (!preferences()) return "";
    return fmt::format("  right {:.0f}%  margin {:.3f}", 100 * accuracy, margin);
  }
  static std::string notes(const train::TuneStart& start) {
    std::string text;
    const auto add = [&](int64_t count, const char* what) {
      if (count > 0) text += fmt::format(", {} {}", count, what);
    };
    add(start.validation_examples, "held out");
    add(start.data.cut, "cut to the context");
    add(start.data.dropped, "dropped with nothing to learn");
    return text;
  }

  const train::TuneConfig& config_;
  double peak_flops_;
  int64_t memory_before_;
  bool terminal_;
  int64_t steps_ = 0;
  train::MemoryPieces planned_;
  TimeLeft left_;
  std::unique_ptr<JsonLog> log_;
};

// What the program exits with.
int run(const Tune& options) {
  if (options.defaults) {
    std::fputs(train::to_toml(train::TuneConfig{}).c_str(), stdout);
    return 0;
  }
  if (options.what.empty()) throw CLI::RequiredError("CONFIG or MODEL");
  const train::TuneConfig config = config_of(options);
  const io::FolderLock lock(config.run.out);
  const std::atomic<bool>& stop = stop_on_signal();
  std::signal(SIGXFSZ, SIG_IGN);  // a file over its limit is a failed write, not the end
  TrainMachine machine(static_cast<int>(config.run.threads));
  const SystemClock clock;
  const double peak =
      machine.measure_peak(config.model.base == "f32" ? DType::kF32 : DType::kBF16, clock);
  TuneProgress progress(config, peak, memory_bytes());
  train::Tuner tuner(config, machine.context(), clock);
  const bool done = tuner.run(progress, stop);
  progress.report_memory();
  std::fprintf(stderr,
               done ? "the adapter is in %s\n" : "stopped; the same command goes on in %s\n",
               config.run.out.c_str());
  return done ? 0 : kExitStopped;
}

void add_flags(CLI::App& command, Tune& t) {
  command.add_option("CONFIG", t.what, "a TOML file (docs/tuning.md), or the folder of a model");
  command.add_option("--data", t.data, "JSONL: conversations, texts, or preferences");
  command.add_option("--out", t.out, "folder for the adapter, in PEFT's form");
  command.add_option("--method", t.method, "sft: replies are learned; dpo: preferences")
      ->check(CLI::IsMember({"sft", "dpo"}));
  command.add_option("--beta", t.beta, "dpo: how fast it moves away from the base");
  command.add_option("--rank", t.rank, "r of the adapter");
  command.add_option("--alpha", t.alpha, "lora_alpha; without it and without a file, twice --rank");
  command.add_option("--dropout", t.dropout, "share of the adapter's inputs left out");
  command.add_option("--targets", t.targets, "modules, with commas between; or all-linear")
      ->delimiter(',');
  command.add_flag("--dora", t.dora, "train a length for each output's weights too");
  command.add_flag("--rslora", t.rslora, "scale by alpha / sqrt(r)");
  command.add_option("--base", t.base, "how the frozen weights are held")
      ->check(CLI::IsMember({"bf16", "f32", "q8", "q4"}));
  command.add_option("--from", t.from, "an adapter to go on from");
  command.add_option("--epochs", t.epochs, "passes over the data");
  command.add_option("--steps", t.steps, "updates, in place of --epochs");
  command.add_option("--learning-rate", t.learning_rate, "at its peak");
  command.add_option("--examples", t.examples, "of one update");
  command.add_option("--context", t.context, "tokens of one text; longer ones are cut");
  command.add_option("--validation", t.validation, "share of the examples held out");
  command.add_option("--seed", t.seed, "of first values, order and dropout");
  command.add_option("--threads", t.threads, "0: one for each core");
  command.add_flag("--defaults", t.defaults, "print every field with its default and leave");
}

}  // namespace

void add_tune_command(CLI::App& app) {
  auto options = std::make_shared<Tune>();
  CLI::App* command =
      app.add_subcommand("tune", "Fine-tune a model: a LoRA adapter from chats or preferences");
  add_flags(*command, *options);
  command->footer(
      "SIGINT and SIGTERM leave a checkpoint; the exit status is then 3, and the same command goes "
      "on.");
  command->callback([options] {
    if (const int code = run(*options); code != 0) throw CLI::RuntimeError(code);
  });
}

}  // namespace hearth::apps
