// Is throughput delivered as it was sold?
//
//   ./dev bench flywheel [--on both|engine|fleet] [--seconds S] [--threads N] [--hidden N]
//                        [--layers N] [--step-ms N] [--sold SHARE] [--servers N]
//                        [--accelerator NAME] [--devices N] [--shape NAME] [--svg FILE]
//                        [--clock wall|cpu] [--stretch X] [--scale SHARE]
//
// Three tenants with different shapes of requests and different purchases, all of whom ask for more
// than they bought; one that buys twice as much while it runs; a neighbour that asks for ten times
// as much; purchases of all sizes; and the same load with whole prompts. On the real engine with a
// random decoder on this machine's cores, and in virtual time on servers with published figures.
// With --clock cpu time is what the process computes, and idle time is skipped: contracts hold on a
// machine of one's own, and on a busy one that is the nearest thing. A
// table of each with its bars on standard error, one JSON line on standard output, and charts.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <memory>

#include "backend/cpu/cpu_backend.h"
#include "bench_clock.h"
#include "chart.h"
#include "flags.h"
#include "flywheel/calibration.h"
#include "flywheel/step_probe.h"
#include "io/file.h"
#include "random_llama.h"
#include "runner/cpu_runner.h"
#include "sim/flywheel_report.h"

namespace hearth {
namespace {

constexpr int32_t kVocabulary = 2048;
constexpr int32_t kSlots = 64;
constexpr int64_t kRequestsInBucket = 6;

struct Options {
  std::string on = "both";
  double seconds = 20;
  int threads = 1;
  int64_t hidden = 256;
  int64_t layers = 4;
  int32_t step_ms = 5;
  double sold = 0.5;
  int32_t servers = 16;
  std::string accelerator = "h100";
  int32_t devices = 8;
  std::string shape = "llama-3.1-70b";
  std::string svg;
  std::string clock = "wall";
  double stretch = 0;
  double scale = 0.1;  // requests of 100 and 20 tokens in place of 1,000 and 200
  int64_t requests = 150;
  std::string trial = "all";
};

Options parse(int argc, char** argv) {
  Options options;
  CLI::App app{"Is throughput delivered as it was sold?", "./dev bench flywheel"};
  app.option_defaults()->always_capture_default();
  app.add_option("--on", options.on, "the real engine, servers in virtual time, or both")
      ->check(CLI::IsMember({"both", "engine", "fleet"}));
  app.add_option("--seconds", options.seconds, "of each trial");
  app.add_option("--threads", options.threads, "of the engine");
  app.add_option("--hidden", options.hidden, "width of its model, a multiple of 64");
  app.add_option("--layers", options.layers, "of its model");
  app.add_option("--step-ms", options.step_ms, "target of a step");
  app.add_option("--sold", options.sold, "share of the capacity");
  app.add_option("--servers", options.servers, "in virtual time");
  app.add_option("--accelerator", options.accelerator, "of a server");
  app.add_option("--devices", options.devices, "of a server");
  app.add_option("--shape", options.shape, "the model of the servers");
  app.add_option("--svg", options.svg, "file of the charts");
  bench::add_clock(app, options.clock);
  app.add_option("--stretch", options.stretch, "of a step by prompts; 0: no bound");
  app.add_option("--scale", options.scale, "of the published requests");
  app.add_option("--requests", options.requests,
                 "by which a purchase made live is judged, at least");
  app.add_option("--trial", options.trial, "on the engine: all of them, or the live purchase alone")
      ->check(CLI::IsMember({"all", "doubling"}));
  bench::parse_or_exit(app, argc, argv);
  return options;
}

// --- the real engine
// ------------------------------------------------------------------------------

struct Engine {
  explicit Engine(const Options& options)
      : random(bench::random_llama({options.hidden, options.layers, kVocabulary})),
        backend({.threads = options.threads}),
        runner(*random.model,
               {.num_blocks = 4096,
                .max_num_seqs = kSlots,
                .max_num_batched_tokens = 2048,
                .kv_dtype = DType::kF32},
               backend.context()),
        clock(bench::clock_kind(options.clock)) {}

  engine::EngineConfig config(const Options& options) const {
    engine::EngineConfig config;
    config.num_blocks = 4096;
    config.max_model_len = 1024;
    config.max_num_seqs = kSlots;
    config.max_num_batched_tokens = 2048;
    config.max_num_partial_prefills = 32;
    config.max_long_partial_prefills = 32;
    config.step_time_target = options.step_ms * kMillisecond;
    config.step_stretch_permille = static_cast<int32_t>(options.stretch * 1000);
    config.vocabulary = kVocabulary;
    config.prefix_caching = false;
    return config;
  }

  bench::RandomLlama random;
  backend::cpu::Backend backend;
  runner::CpuRunner runner;
  bench::BenchClock clock;
};

sim::FlywheelResults run_engine(const Options& options) {
  Engine engine(options);
  sim::TrialOptions trials;
  trials.config = engine.config(options);
  flywheel::StepProbe probe(engine.runner, trials.config, engine.clock);
  const auto samples = probe.measure({.time = 10 * kSecond});
  const flywheel::ProbeResult result = flywheel::fit_and_check(samples);
  trials.config.costs = result.costs;
  trials.config.prices = prices_of(result.costs, trials.config.step_time_target, kSlots);
  trials.capacity = capacity_per_minute(result.costs, trials.config.step_time_target);
  trials.sold = options.sold;
  trials.scale = options.scale;
  trials.window = static_cast<Nanos>(options.seconds * kSecond);
  const Nanos bucket_window =
      std::max(trials.window / 20, sim::time_of_requests(trials, kRequestsInBucket));
  trials.warm_up = 10 * bucket_window;
  trials.points = 20;
  trials.requests_least = options.requests;
  trials.house = [&](const engine::EngineConfig& config, uint64_t seed) {
    return std::make_shared<sim::FlywheelHouse>(sim::FlywheelHouse::Parts{
        .config = config,
        .runner = engine.runner,
        .clock = engine.clock,
        .idle_until = [&](Nanos until) { engine.clock.wait_until(until); },
        .vocabulary = kVocabulary,
        .bucket_window = bucket_window,
        .seed = seed});
  };
  const auto progress = [](const char* what) { fmt::print(stderr, "engine: {} ...\n", what); };
  sim::FlywheelResults results;
  if (options.trial == "all") {
    results = sim::run_flywheel(trials, 5, 0, progress);
  } else {
    results.doubling = sim::run_doubling(trials);
  }
  results.title = fmt::format(
      "real engine, {} layers of {} on {} thread(s), {} clock, steps of {} ms, cost model off by "
      "{:.1f} % on "
      "average on held-out steps",
      options.layers, options.hidden, options.threads, options.clock, options.step_ms,
      result.held_out.mean * 100);
  return results;
}

sim::FlywheelResults run_servers(const Options& options) {
  const sim::ServerSpec server{&sim::find_accelerator(options.accelerator),
                               &sim::find_model_shape(options.shape), options.devices};
  const sim::ServerRig rig = sim::calibrate_server(server, 50 * kMillisecond, 1);
  sim::FlywheelResults results =
      sim::run_flywheel(sim::server_trials(rig, 0.02, 1), 8, options.servers,
                        [](const char* what) { fmt::print(stderr, "fleet: {} ...\n", what); });
  results.title = fmt::format(
      "virtual time, {} on {} x {}, steps of 50 ms, cost model off by {:.1f} % on average on "
      "held-out steps",
      options.shape, options.devices, options.accelerator, rig.calibration.held_out.mean * 100);
  return results;
}

// --- charts
// ---------------------------------------------------------------------------------------

// The demonstration: the first tenant buys twice as much in the middle.
std::vector<bench::Chart> charts_of(const sim::FlywheelResults& results) {
  const sim::DoublingTrial& trial = results.doubling;
  const auto over_time = [&](const char* title, double sim::FlywheelShare::*value) {
    bench::Chart chart{title, {}, {}};
    for (size_t i = 0; i < trial.curve.size(); ++i) {
      const bool labelled = i % 4 == 0;
      if (labelled)
        chart.x.push_back(static_cast<int32_t>(trial.seconds_per_point * static_cast<double>(i)));
    }
    for (size_t tenant = 0; tenant < trial.before.size(); ++tenant) {
      bench::Series& series = chart.series.emplace_back();
      series.name = trial.before[tenant].name;
      for (size_t i = 0; i < trial.curve.size(); i += 4) {
        double sum = 0;
        const size_t end = std::min(i + 4, trial.curve.size());
        for (size_t j = i; j < end; ++j) sum += trial.curve[j][tenant].*value;
        series.values.push_back(sum / static_cast<double>(end - i));
      }
    }
    return chart;
  };
  bench::Chart linear{"delivered by bought, PTU", {{"", {}}, {"", results.linear.delivered}}, {}};
  for (const double bought : results.linear.bought) {
    linear.x.push_back(static_cast<int32_t>(std::lround(bought)));
  }
  return {over_time("prompt tokens a minute, by seconds", &sim::FlywheelShare::prompt_per_minute),
          over_time("generated tokens a minute", &sim::FlywheelShare::generated_per_minute),
          over_time("ms between tokens", &sim::FlywheelShare::time_per_token_ms), linear};
}

// What cutting prompts buys: the tail of the time between tokens.
bench::Chart cut_or_whole(const sim::FlywheelResults& results) {
  bench::Chart chart{"p99 ITL in ms, prompts cut (1) and whole (2)", {}, {1, 2}};
  for (size_t i = 0; i < results.mix.shares.size(); ++i) {  // without the documents themselves
    chart.series.push_back(
        {results.cut.shares[i].name,
         {results.cut.shares[i].itl_p99_ms, results.whole.shares[i].itl_p99_ms}});
  }
  return chart;
}

void report(const sim::FlywheelResults& results, const std::string& svg) {
  fmt::print(stderr, "\n{}\n", sim::flywheel_table(results));
  fmt::print("{}\n", sim::flywheel_json(results));
  std::fflush(stdout);
  if (svg.empty()) return;
  auto charts = charts_of(results);
  charts.push_back(cut_or_whole(results));
  io::write_file_atomic(svg, bench::svg("Contracts on throughput: " + results.title, charts));
}

// Of several, each its own file: "x.svg" and "x-fleet.svg".
std::string beside(const std::string& path, const char* which) {
  if (path.empty()) return path;
  const size_t dot = path.rfind('.');
  return fmt::format("{}-{}{}", path.substr(0, dot), which,
                     dot == std::string::npos ? "" : path.substr(dot));
}

int run(int argc, char** argv) {
  const Options options = parse(argc, argv);
  if (options.trial == "doubling") {
    const sim::FlywheelResults results = run_engine(options);
    fmt::print(stderr, "{}\n{}", results.title, sim::doubling_table(results.doubling));
    return 0;
  }
  if (options.on != "fleet") report(run_engine(options), options.svg);
  if (options.on != "engine") report(run_servers(options), beside(options.svg, "fleet"));
  return 0;
}

}  // namespace
}  // namespace hearth

int main(int argc, char** argv) { return hearth::run(argc, argv); }
