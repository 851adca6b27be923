// What do those who generate notice of long prompts, and what do the prompts pay?
//
//   ./dev bench mixed MODEL [--streams 8] [--prompt 4096] [--prompts 3] [--threads N]
//                     [--stretches 0,1.5,1.75,2] [--step-ms 100] [--rows 512]
//
// MODEL is a Hugging Face folder or a .gguf file (`./dev bench peers` leaves random ones in the
// folder hearth-bench-models of the system's temporary files). The real scheduler and runner,
// without a server: streams generate, first alone, then while long prompts come one after the
// other, once for each bound on the stretch (`--itl-stretch` of `hearth serve`; 0: none). A line
// says the time between tokens without and with them, and the time of a prompt; one JSON line each
// on stdout.
#include <algorithm>
#include <cstdio>
#include <fmt/format.h>
#include <memory>
#include <string>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "base/clock.h"
#include "engine/scheduler.h"
#include "flags.h"
#include "model_files.h"
#include "runner/cpu_runner.h"

namespace hearth {
namespace {

struct Options {
  std::string model;
  int32_t streams = 8;
  int32_t prompt = 4096;
  int32_t prompts = 3;
  int threads = 0;
  std::vector<double> stretches = {0, 1.5, 1.75, 2};
  int32_t step_ms = 100;
  int32_t rows = 512;
  int32_t alone_steps = 60;
};

Options parse(int argc, char** argv) {
  Options options;
  CLI::App app{"What do long prompts cost those who generate?", "./dev bench mixed"};
  app.option_defaults()->always_capture_default();
  app.add_option("MODEL", options.model, "a folder or a .gguf file")->required();
  app.add_option("--streams", options.streams, "that generate");
  app.add_option("--prompt", options.prompt, "tokens of a long prompt");
  app.add_option("--prompts", options.prompts, "that arrive");
  app.add_option("--threads", options.threads, "0: all cores");
  app.add_option("--step-ms", options.step_ms, "target of a step");
  app.add_option("--rows", options.rows, "of a step at most");
  app.add_option("--stretches", options.stretches, "of a step by prompts, separated by commas")
      ->delimiter(',');
  bench::parse_or_exit(app, argc, argv);
  return options;
}

double quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
}

class Mix {
 public:
  Mix(const Options& options, const models::Model& model, const ops::Context& ctx, double stretch)
      : options_(options),
        vocabulary_(static_cast<int32_t>(model.info.vocabulary)),
        scheduler_(config(options, stretch)),
        runner_(model,
                {.num_blocks = scheduler_.config().num_blocks,
                 .max_num_seqs = scheduler_.config().max_num_seqs,
                 .max_num_batched_tokens = scheduler_.config().max_num_batched_tokens},
                ctx),
        stretch_(stretch) {}

  void run() {
    for (int32_t i = 0; i < options_.streams; ++i) add(64, kMostTokens);
    std::vector<double> warm_up;
    for (int32_t i = 0; i < 20; ++i) step(warm_up);
    std::vector<double> prompts;
    for (int32_t i = 0; i < options_.prompts; ++i) {
      for (int32_t k = 0; k < options_.alone_steps; ++k) step(alone_);
      const Nanos begin = clock_.now();
      const engine::RequestId id = add(options_.prompt, 1);
      while (done_ != id) step(mixed_);
      prompts.push_back(milliseconds(clock_.now() - begin));
    }
    report(prompts);
  }

 private:
  static constexpr int32_t kMostTokens = 4000;

  static engine::EngineConfig config(const Options& options, double stretch) {
    engine::EngineConfig config;
    config.max_model_len = std::max(options.prompt, 64 + kMostTokens) + 64;
    config.max_num_seqs = options.streams + 1;
    config.max_num_batched_tokens = std::max(options.rows, config.max_num_seqs);
    config.num_blocks = config.max_num_seqs * (config.max_model_len / engine::kBlockTokens + 1);
    config.step_time_target = options.step_ms * kMillisecond;
    config.step_stretch_permille = static_cast<int32_t>(stretch * 1000);
    config.prefix_caching = false;
    return config;
  }

  static double milliseconds(Nanos time) { return static_cast<double>(time) / kMillisecond; }

  engine::RequestId add(int32_t prompt, int32_t tokens) {
    engine::Request request;
    request.id = ++last_id_;
    for (int32_t i = 0; i < prompt; ++i) {
      request.prompt.push_back((i * 7919 + static_cast<int32_t>(last_id_) * 104'729) % vocabulary_);
    }
    request.max_tokens = tokens;
    request.sampling.temperature = 0;
    scheduler_.add(std::move(request), clock_.now());
    return last_id_;
  }

  void step(std::vector<double>& times) {
    const Nanos begin = clock_.now();
    const engine::StepPlan& plan = scheduler_.plan(begin);
    const engine::StepResult result = runner_.run(plan);
    const Nanos now = clock_.now();
    for (const engine::Output& output : scheduler_.commit(result, now)) {
      if (output.request_done) done_ = output.request;
    }
    times.push_back(milliseconds(clock_.now() - begin));
  }

  void report(const std::vector<double>& prompts) const {
    const double alone = quantile(alone_, 0.5), alone_p99 = quantile(alone_, 0.99);
    const double p50 = quantile(mixed_, 0.5), p99 = quantile(mixed_, 0.99);
    const double prompt = quantile(prompts, 0.5);
    fmt::print(
        stderr,
        "stretch {:<5} alone p50 {:7.2f} p99 {:7.2f} ms | with prompts p50 {:7.2f} ({:4.2f} x) "
        "p99 {:7.2f} ({:4.2f} x) ms | a prompt {:7.0f} ms, {:5.0f} tokens/s\n",
        stretch_, alone, alone_p99, p50, p50 / alone, p99, p99 / alone, prompt,
        options_.prompt / prompt * 1e3);
    fmt::print(
        R"({{"bench":"mixed","stretch":{},"alone_p50_ms":{:.3f},"alone_p99_ms":{:.3f},"p50_ms":{:.3f},"p99_ms":{:.3f},"prompt_ms":{:.1f}}})"
        "\n",
        stretch_, alone, alone_p99, p50, p99, prompt);
    std::fflush(stdout);
  }

  const Options& options_;
  const int32_t vocabulary_;
  SystemClock clock_;
  engine::Scheduler scheduler_;
  runner::CpuRunner runner_;
  const double stretch_;
  std::vector<double> alone_, mixed_;  // times of steps, in ms
  engine::RequestId last_id_ = 0, done_ = 0;
};

void run(const Options& options) {
  const auto files = bench::open_model(options.model);
  backend::cpu::Backend backend({.threads = options.threads});
  const ops::Context ctx = backend.context();
  const auto model = models::load(
      *files, {.threads = ctx.workers.count(), .kernels = &backend::cpu::quantize_kernels()});
  files->release_pages();
  for (const double stretch : options.stretches) Mix(options, *model, ctx, stretch).run();
}

}  // namespace
}  // namespace hearth

int main(int argc, char** argv) {
  return hearth::bench::run_or_say_why([&] { hearth::run(hearth::parse(argc, argv)); });
}
