// hearth sim: the real brains in virtual time, from a seed.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "apps/commands.h"
#include "apps/progress.h"
#include "base/error.h"
#include "sim/engine_sim.h"

namespace hearth::apps {
namespace {

constexpr int64_t kHistoriesAtOnce = 500;

struct SimEngine {
  uint64_t seed = 1;
  int64_t count = 10'000;
};

void run_sim_engine(const SimEngine& options) {
  sim::EngineSimSummary all;
  {
    ProgressBar progress("histories");
    for (int64_t done = 0; done < options.count && all.ok(); done += kHistoriesAtOnce) {
      const sim::EngineSimSummary part =
          sim::run_engine_histories({.seed = options.seed + static_cast<uint64_t>(done)},
                                    std::min(kHistoriesAtOnce, options.count - done));
      all.histories += part.histories;
      all.requests += part.requests;
      all.refused += part.refused;
      all.longest_wait = std::max(all.longest_wait, part.longest_wait);
      all.failure = part.failure;
      progress.show(done + part.histories, options.count);
    }
  }
  std::printf(
      "%lld histories from seed %llu: %lld requests, %lld refused, longest wait %.3f s (virtual)\n",
      static_cast<long long>(all.histories), static_cast<unsigned long long>(options.seed),
      static_cast<long long>(all.requests), static_cast<long long>(all.refused),
      static_cast<double>(all.longest_wait) / kSecond);
  if (!all.ok()) throw_error(ErrorCode::kInternal, "sim engine", "{}", all.failure);
  std::printf("every law held, and every answer was the one that its request gets alone\n");
}

}  // namespace

void add_sim_command(CLI::App& app) {
  CLI::App* sim = app.add_subcommand("sim", "Run the real schedulers in virtual time, from a seed");
  sim->require_subcommand(1);
  CLI::App* engine = sim->add_subcommand(
      "engine", "Random traffic on the serving engine, its laws checked after each step");
  auto options = std::make_shared<SimEngine>();
  engine->add_option("--seed", options->seed, "Seed of the first history")->capture_default_str();
  engine->add_option("--count", options->count, "How many histories")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  engine->callback([options] { run_sim_engine(*options); });
  add_sim_flywheel(*sim);
  add_sim_forge(*sim);
}

}  // namespace hearth::apps
