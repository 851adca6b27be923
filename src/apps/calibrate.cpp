// hearth calibrate: what a step takes on this machine, as a function of what it holds, and the
// capacity that can be sold (docs/flywheel.md).
#include <CLI/CLI.hpp>
#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <numeric>

#include "apps/calibrations.h"
#include "apps/commands.h"
#include "apps/local_model.h"
#include "apps/lora_flags.h"
#include "apps/progress.h"
#include "base/clock.h"
#include "base/error.h"
#include "flywheel/ptu.h"
#include "flywheel/step_probe.h"
#include "io/file.h"
#include "io/json.h"

namespace hearth::apps {
namespace {

using flywheel::Calibration;
using flywheel::StepSample;

constexpr size_t kRowsShown = 12;

struct Calibrate {
  ModelFlags model;
  LoraFlags lora;
  flywheel::ProbeOptions probe;
  double seconds = 30;
  std::string json_path;
};

double ms(Nanos nanos) { return static_cast<double>(nanos) / kMillisecond; }
double micros(int64_t ps) { return static_cast<double>(ps) / 1e6; }

// Brings the adapters of the flags into memory, each into pages of its own, as far as they fit.
std::vector<engine::AdapterId> load_adapters(const LoraFlags& lora, const LocalModel& local) {
  std::vector<engine::AdapterId> ids;
  serve::AdapterHost* host = local.handle().adapters;
  if (!host) return ids;
  std::mutex mutex;
  std::condition_variable told;
  size_t loaded = 0;
  host->tell([&](engine::AdapterId, const std::string& error) {
    if (!error.empty()) std::fprintf(stderr, "adapter not measured: %s\n", error.c_str());
    const std::lock_guard lock(mutex);
    ++loaded;
    told.notify_one();
  });
  engine::StepPlan orders;
  engine::PageId next = 0;
  for (const std::string& named : lora.adapters) {
    const auto id = static_cast<engine::AdapterId>(ids.size()) + 1;
    const serve::AdapterInfo info = host->open(id, named.substr(named.find('=') + 1));
    if (next + info.pages > local.handle().engine.adapter_pages) break;
    engine::AdapterOrder& order = orders.adapters.emplace_back();
    order.adapter = id;
    order.pages.resize(static_cast<size_t>(info.pages));
    std::iota(order.pages.begin(), order.pages.end(), next);
    next += info.pages;
    ids.push_back(id);
  }
  local.handle().runner->run(orders);
  std::unique_lock lock(mutex);
  told.wait(lock, [&] { return loaded == ids.size(); });
  host->tell({});
  return ids;
}

Calibration make_calibration(const LocalModel& local, const flywheel::ProbeResult& result,
                             size_t samples) {
  const engine::EngineConfig& engine = local.handle().engine;
  Calibration calibration;
  calibration.key = local.calibration_key();
  calibration.model = local.handle().name;
  calibration.created_s = SystemClock().wall() / kSecond;
  calibration.step_time = engine.step_time_target;
  calibration.sequences = sequences_at_once(engine);
  calibration.costs = result.costs;
  calibration.held_out = result.held_out;
  calibration.samples = static_cast<int32_t>(samples);
  return calibration;
}

// The steps that were foretold, not fitted, by their time.
void print_held_out(const Calibration& calibration, std::span<const StepSample> samples) {
  std::vector<StepSample> shown;
  for (size_t i = flywheel::kHeldOut - 1; i < samples.size(); i += flywheel::kHeldOut) {
    shown.push_back(samples[i]);
  }
  std::sort(shown.begin(), shown.end(),
            [](const auto& a, const auto& b) { return a.duration < b.duration; });
  std::printf("  %8s %10s %9s %10s %9s %12s %12s %8s\n", "prompt", "before", "sequences", "before",
              "adapters", "measured ms", "foretold ms", "error");
  const size_t every = std::max<size_t>(shown.size() / kRowsShown, 1);
  for (size_t i = 0; i < shown.size(); i += every) {
    const engine::StepWork& work = shown[i].work;
    const Nanos foretold = calibration.costs.time(work);
    std::printf("  %8d %10lld %9d %10lld %9d %12.2f %12.2f %7.1f%%\n", work.prompt_tokens,
                static_cast<long long>(work.prompt_context / std::max(work.prompt_tokens, 1)),
                work.generating,
                static_cast<long long>(work.generating_context / std::max(work.generating, 1)),
                work.adapters, ms(shown[i].duration), ms(foretold),
                (ms(foretold) / ms(shown[i].duration) - 1) * 100);
  }
}

void print_costs(const Calibration& calibration) {
  const engine::CostModel& costs = calibration.costs;
  const engine::TokenPrices prices = calibration.prices();
  const auto units = [](engine::Cost cost) {
    return static_cast<double>(cost) / static_cast<double>(engine::kCostPerUnit);
  };
  std::printf("\n  a step                  %10.2f us\n", micros(costs.step_ps));
  std::printf("  a prompt token          %10.2f us   and %.4f us for each token before it\n",
              micros(costs.prompt_token_ps), micros(costs.prompt_context_ps));
  std::printf("  a generating sequence   %10.2f us   and %.4f us for each token before it\n",
              micros(costs.sequence_ps), micros(costs.context_ps));
  std::printf("  an adapter              %10.2f us   and %.4f us for each row\n",
              micros(costs.adapter_ps), micros(costs.adapter_row_ps));
  std::printf(
      "\n  error on %d held-out of %d steps: %.1f %% on average, %.1f %% for 95 of 100, "
      "%.1f %% at most\n",
      calibration.samples / flywheel::kHeldOut, calibration.samples,
      calibration.held_out.mean * 100, calibration.held_out.p95 * 100,
      calibration.held_out.largest * 100);
  std::printf("  a generated token costs %.2f units, after 1,000 tokens %.2f\n",
              units(prices.of_tokens(0, 1, engine::kBaseModel)),
              units(prices.of_tokens(1000, 1, engine::kBaseModel)));
  std::printf("\n  capacity %.1f PTU: steps of %lld ms, %d sequences\n",
              flywheel::ptu_of(calibration.capacity()),
              static_cast<long long>(calibration.step_time / kMillisecond), calibration.sequences);
}

void run_calibrate(Calibrate options) {
  static const SystemClock clock;
  if (options.model.step_ms <= 0) {
    throw_error(ErrorCode::kInvalidArgument, "--step-ms", "a capacity needs a target, got {}",
                options.model.step_ms);
  }
  make_data_dir(options.model.data_dir);
  const LocalModel local(options.model, clock, options.lora);
  options.probe.time = static_cast<Nanos>(options.seconds * kSecond);
  options.probe.adapters = load_adapters(options.lora, local);
  flywheel::StepProbe probe(*local.handle().runner, local.handle().engine, clock);
  std::vector<StepSample> samples;
  {
    ProgressBar progress("measuring");
    samples = probe.measure(options.probe,
                            [&](int64_t done, int64_t total) { progress.show(done, total); });
  }
  const flywheel::ProbeResult result = flywheel::fit_and_check(samples);
  const Calibration calibration = make_calibration(local, result, samples.size());
  flywheel::save_calibration(options.model.data_dir, calibration);
  std::printf("%s on %s, %d threads\n\n", calibration.model.c_str(),
              calibration.key.machine.c_str(), calibration.key.threads);
  print_held_out(calibration, samples);
  print_costs(calibration);
  const std::string path = flywheel::calibration_path(options.model.data_dir, calibration.key);
  std::printf("  stored in %s; hearth serve uses it\n", path.c_str());
  if (options.json_path.empty()) return;
  io::write_file_atomic(options.json_path, flywheel::to_json(calibration).dump(2) + "\n");
}

}  // namespace

void add_calibrate_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "calibrate", "Measure what steps take on this machine, and its capacity in PTU");
  auto options = std::make_shared<Calibrate>();
  add_model_flags(*command, options->model);
  add_lora_flags(*command, options->lora);
  command->add_option("--seconds", options->seconds, "How long to measure, about")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--steps", options->probe.shapes, "Different steps to measure")
      ->check(CLI::Range(32, 10'000))
      ->capture_default_str();
  command->add_option("--seed", options->probe.seed, "Of the steps; same seed, same steps")
      ->capture_default_str();
  command->add_option("--json", options->json_path, "Also write the calibration to this file");
  command->callback([options] { run_calibrate(*options); });
}

}  // namespace hearth::apps
