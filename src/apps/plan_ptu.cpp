// hearth plan ptu: how much throughput a workload has to buy, with the pieces shown.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "apps/commands.h"
#include "apps/model_source.h"
#include "base/error.h"
#include "flywheel/calibration.h"
#include "flywheel/ptu.h"
#include "io/json.h"

namespace hearth::apps {
namespace {

namespace fs = std::filesystem;

// Of the buckets that admit; the server's.
constexpr Nanos kWindow = 10 * kSecond;

struct PlanPtu {
  flywheel::PtuWorkload workload;
  std::string model;
  std::string calibration;
  std::string data_dir = default_data_dir();
  bool json = false;
};

// The newest that was measured for a model of that name.
std::optional<flywheel::Calibration> newest_of(const std::string& data_dir,
                                               const std::string& model) {
  std::optional<flywheel::Calibration> newest;
  const fs::path folder = fs::path(data_dir) / "calibrations";
  if (!fs::is_directory(folder)) return newest;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".json") continue;
    const flywheel::Calibration one = flywheel::load_calibration(entry.path().string());
    const bool meant = model.empty() || one.model == model;
    if (meant && (!newest || one.created_s > newest->created_s)) newest = one;
  }
  return newest;
}

flywheel::Calibration find(const PlanPtu& options) {
  if (!options.calibration.empty()) return flywheel::load_calibration(options.calibration);
  if (auto newest = newest_of(options.data_dir, options.model)) return *newest;
  throw_error(ErrorCode::kNotFound, "--model",
              "no calibration{} in {}/calibrations; run hearth calibrate first, or name a file "
              "with --calibration",
              options.model.empty() ? "" : " of " + options.model, options.data_dir);
}

// Requests that are under way at once: a step for each generated token, and those of the prompt.
double at_once(const flywheel::PtuWorkload& workload, const flywheel::Calibration& calibration) {
  const double prompt_seconds = static_cast<double>(workload.prompt_tokens) *
                                static_cast<double>(calibration.costs.unit_ps()) / 1e12;
  const double seconds = prompt_seconds + workload.generated_tokens *
                                              static_cast<double>(calibration.step_time) / kSecond;
  return workload.requests_per_minute / 60 * seconds;
}

void print_table(const PlanPtu& options, const flywheel::Calibration& calibration,
                 const flywheel::PtuNeed& need) {
  const flywheel::PtuWorkload& workload = options.workload;
  std::printf("%g requests a minute of %d prompt and %d generated tokens\n",
              workload.requests_per_minute, workload.prompt_tokens, workload.generated_tokens);
  std::printf("by the calibration of %s on %s, %d threads\n\n", calibration.model.c_str(),
              calibration.key.machine.c_str(), calibration.key.threads);
  const auto row = [](const char* name, double units) {
    std::printf("  %-36s %12.1f\n", name, units);
  };
  std::printf("  %-36s %12s\n", "one request", "units");
  row("prompt tokens not found cached", need.prompt);
  row("tokens before each of them", need.prompt_context);
  row("generated tokens", need.generated);
  row("tokens before each of them", need.generated_context);
  row("together", need.request());
  const double capacity = flywheel::ptu_of(calibration.capacity());
  std::printf("\n  %-36s %12.3f PTU\n", "arrivals evenly spaced", need.steady);
  std::printf("  %-36s %12.3f PTU\n", "random arrivals, 1 of 40 waits", need.random);
  std::printf("  %-36s %12.3f PTU\n", "this machine has", capacity);
  std::printf("  %-36s %12.0f\n", "machines", std::ceil(need.random / std::max(capacity, 1e-9)));
  std::printf("  %-36s %12.1f\n", "requests under way at once", at_once(workload, calibration));
}

void print_json(const PlanPtu& options, const flywheel::Calibration& calibration,
                const flywheel::PtuNeed& need) {
  const io::Json json = {{"requests_per_minute", options.workload.requests_per_minute},
                         {"prompt_tokens", options.workload.prompt_tokens},
                         {"cached_tokens", options.workload.cached_tokens},
                         {"generated_tokens", options.workload.generated_tokens},
                         {"model", calibration.model},
                         {"units",
                          {{"prompt", need.prompt},
                           {"prompt_context", need.prompt_context},
                           {"generated", need.generated},
                           {"generated_context", need.generated_context},
                           {"request", need.request()}}},
                         {"ptu", {{"steady", need.steady}, {"random", need.random}}},
                         {"capacity_ptu", flywheel::ptu_of(calibration.capacity())},
                         {"requests_at_once", at_once(options.workload, calibration)}};
  std::printf("%s\n", json.dump(2).c_str());
}

void run(const PlanPtu& options) {
  if (options.workload.cached_tokens > options.workload.prompt_tokens) {
    throw_error(ErrorCode::kInvalidArgument, "--cached", "at most --prompt = {}, got {}",
                options.workload.prompt_tokens, options.workload.cached_tokens);
  }
  const flywheel::Calibration calibration = find(options);
  const flywheel::PtuNeed need =
      flywheel::ptu_need(options.workload, calibration.prices(), kWindow);
  if (options.json) return print_json(options, calibration, need);
  print_table(options, calibration, need);
}

}  // namespace

void add_plan_ptu(CLI::App& plan) {
  CLI::App* command = plan.add_subcommand(
      "ptu", "Provisioned throughput that a workload has to buy (docs/flywheel.md)");
  auto options = std::make_shared<PlanPtu>();
  flywheel::PtuWorkload& workload = options->workload;
  command->add_option("--requests-per-minute", workload.requests_per_minute, "Arrivals")
      ->required()
      ->check(CLI::PositiveNumber);
  command->add_option("--prompt", workload.prompt_tokens, "Tokens of a prompt")
      ->required()
      ->check(CLI::Range(1, 10'000'000));
  command->add_option("--generate", workload.generated_tokens, "Tokens of an answer")
      ->required()
      ->check(CLI::Range(0, 10'000'000));
  command->add_option("--cached", workload.cached_tokens, "Of the prompt, found in the cache")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--model", options->model,
                      "Model whose calibration counts; the newest of all, if not given");
  command->add_option("--calibration", options->calibration, "A calibration file instead")
      ->check(CLI::ExistingFile);
  command->add_option("--data-dir", options->data_dir, "Where Hearth keeps its state")
      ->capture_default_str();
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([options] { run(*options); });
}

}  // namespace hearth::apps
