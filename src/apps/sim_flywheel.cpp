// hearth sim flywheel: contracts on throughput at the scale of a data centre, in virtual time.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "apps/commands.h"
#include "base/error.h"
#include "io/file.h"
#include "sim/flywheel_report.h"

namespace hearth::apps {
namespace {

struct SimFlywheel {
  std::string accelerator = "h100";
  std::string shape = "llama-3.1-70b";
  int32_t devices = 8;
  int32_t servers = 16;
  int32_t step_ms = 50;
  double jitter = 0.02;
  int points = 8;
  double window_s = 180;
  uint64_t seed = 1;
  std::string json_path;
};

void run(const SimFlywheel& options) {
  const sim::ServerSpec server{&sim::find_accelerator(options.accelerator),
                               &sim::find_model_shape(options.shape), options.devices};
  const sim::ServerRig rig =
      sim::calibrate_server(server, options.step_ms * kMillisecond, options.seed);
  sim::TrialOptions trials = sim::server_trials(rig, options.jitter, options.seed);
  trials.window = static_cast<Nanos>(options.window_s * kSecond);
  sim::FlywheelResults results =
      sim::run_flywheel(trials, options.points, options.servers,
                        [](const char* what) { std::fprintf(stderr, "%s ...\n", what); });
  results.title = fmt::format(
      "{} on {} x {}, steps of {} ms, cost model off by {:.1f} % on "
      "average on held-out steps",
      options.shape, options.devices, options.accelerator, options.step_ms,
      rig.calibration.held_out.mean * 100);
  std::fputs(sim::flywheel_table(results).c_str(), stdout);
  if (!options.json_path.empty()) {
    io::write_file_atomic(options.json_path, sim::flywheel_json(results) + "\n");
  }
  for (const sim::FlywheelBar& bar : sim::flywheel_bars(results)) {
    if (!bar.held()) throw_error(ErrorCode::kInternal, "sim flywheel", "missed: {}", bar.name);
  }
}

}  // namespace

void add_sim_flywheel(CLI::App& sim) {
  CLI::App* command = sim.add_subcommand(
      "flywheel", "Tenants with contracts on servers of a data centre, by published figures");
  auto options = std::make_shared<SimFlywheel>();
  command->add_option("--accelerator", options->accelerator, "a100, h100, h200 or mi300x")
      ->capture_default_str();
  command
      ->add_option("--shape", options->shape, "llama-3.1-8b, llama-3.1-70b or qwen2.5-32b, in bf16")
      ->capture_default_str();
  command->add_option("--devices", options->devices, "Of one server")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_option("--servers", options->servers, "Of the fleet; 0: only one is looked at")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  command->add_option("--step-ms", options->step_ms, "What a step may take")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--jitter", options->jitter, "Deviation of steps from the roofline")
      ->check(CLI::Range(0.0, 0.5))
      ->capture_default_str();
  command->add_option("--points", options->points, "Purchases to compare for linearity")
      ->check(CLI::Range(3, 100))
      ->capture_default_str();
  command->add_option("--window", options->window_s, "Seconds of a measurement, virtual")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--seed", options->seed, "Same seed, same results")->capture_default_str();
  command->add_option("--json", options->json_path, "Also write everything to this file");
  command->callback([options] { run(*options); });
}

}  // namespace hearth::apps
