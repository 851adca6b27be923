#include "sim/server_rig.h"

#include <algorithm>
#include <cmath>

#include "flywheel/ptu.h"

namespace hearth::sim {
namespace {

constexpr int32_t kSlots = 1024;
constexpr int32_t kLongest = 8192;

// What a house in virtual time stands on; they live and die together.
struct Site {
  Site(const ServerRig& rig, const engine::EngineConfig& config, double jitter, uint64_t seed)
      : runner(rig.server, clock, jitter, seed),
        house({.config = config,
               .runner = runner,
               .clock = clock,
               .idle_until = [this](Nanos until) { clock.advance(until - clock.now()); },
               .seed = seed}) {}
  FakeClock clock;
  ServerRunner runner;
  FlywheelHouse house;
};

engine::EngineConfig config_of(const ServerSpec& server, Nanos step_target) {
  engine::EngineConfig config;
  config.num_blocks = static_cast<int32_t>(server.kv_tokens() / engine::kBlockTokens);
  config.max_model_len = kLongest;
  config.max_num_seqs = kSlots;
  config.max_num_batched_tokens = kLongest;
  config.max_num_partial_prefills = 64;
  config.max_long_partial_prefills = 64;
  config.step_time_target = step_target;
  config.prefix_caching = false;
  config.vocabulary = 32'000;
  return config;
}

}  // namespace

ServerRig calibrate_server(const ServerSpec& server, Nanos step_target, uint64_t seed) {
  ServerRig rig;
  rig.server = server;
  rig.config = config_of(server, step_target);
  FakeClock clock;
  ServerRunner runner(server, clock, 0.01, seed);
  flywheel::StepProbe probe(runner, rig.config, clock);
  const auto samples = probe.measure({.time = 600 * kSecond, .shapes = 400, .seed = seed});
  rig.calibration = flywheel::fit_and_check(samples);
  rig.config.costs = rig.calibration.costs;
  const int64_t texts = server.kv_tokens() / 1500;
  const auto sequences = static_cast<int32_t>(std::clamp<int64_t>(texts, 1, kSlots));
  rig.config.prices = prices_of(rig.config.costs, step_target, sequences);
  rig.capacity = capacity_per_minute(rig.config.costs, step_target);
  return rig;
}

TrialOptions server_trials(const ServerRig& rig, double jitter, uint64_t seed) {
  TrialOptions options;
  options.config = rig.config;
  options.capacity = rig.capacity;
  options.seed = seed;
  options.house = [rig, jitter](const engine::EngineConfig& config, uint64_t house_seed) {
    const auto site = std::make_shared<Site>(rig, config, jitter, house_seed);
    return std::shared_ptr<FlywheelHouse>(site, &site->house);
  };
  return options;
}

std::vector<FleetPoint> run_fleet(const TrialOptions& options, int32_t servers) {
  std::vector<FleetPoint> points;
  std::vector<double> bought, delivered;  // by tenant, over the servers so far
  for (int32_t i = 0; i < servers; ++i) {
    TrialOptions one = options;
    one.seed = options.seed + 1000 + static_cast<uint64_t>(i);
    const MixTrial trial = run_mix(one);
    bought.resize(trial.shares.size());
    delivered.resize(trial.shares.size());
    FleetPoint point{.servers = i + 1};
    for (size_t t = 0; t < trial.shares.size(); ++t) {
      bought[t] += static_cast<double>(trial.shares[t].bought) / flywheel::kCostPerPtu;
      delivered[t] += trial.shares[t].delivered / flywheel::kCostPerPtu;
      point.bought += bought[t];
      point.delivered += delivered[t];
      point.worst_error = std::max(point.worst_error, std::abs(delivered[t] / bought[t] - 1));
    }
    points.push_back(point);
  }
  return points;
}

}  // namespace hearth::sim
