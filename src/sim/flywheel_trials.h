// What the contracts are worth: the experiments of `hearth sim flywheel` and `./dev bench
// flywheel`, in virtual time and on a real engine alike.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sim/flywheel_house.h"

namespace hearth::sim {

// Shapes of requests, in tokens.
struct TrialShape {
  const char* name;
  int32_t prompt;
  int32_t generated;
};

struct TrialOptions {
  engine::EngineConfig config{};  // measured
  engine::Cost capacity = 0;      // a minute
  // The share of it that is sold in all.
  double sold = 0.8;
  // Requests are so much shorter than 1,000 tokens and 200.
  double scale = 1;
  Nanos warm_up = 120 * kSecond;
  Nanos window = 180 * kSecond;
  // Points of the curves over time.
  int points = 24;
  // What came of a purchase is judged by at least so many requests: what is under way at the two
  // ends of a window is worth about one of them. Longer windows where that takes them.
  int64_t requests_least = 0;
  uint64_t seed = 1;
  // A house with a runner and a clock of its own.
  std::function<std::shared_ptr<FlywheelHouse>(const engine::EngineConfig&, uint64_t seed)> house;
};

// In which the smallest purchase of the trials is worth so many requests. A bucket that holds fewer
// than a handful loses some of what was bought to the chance of arrivals.
Nanos time_of_requests(const TrialOptions& options, int64_t requests);

// Three tenants with different shapes and different purchases, all asking for more than they
// bought.
struct MixTrial {
  std::vector<FlywheelShare> shares;
  double time_per_token_spread = 0;  // largest over smallest, less one
  double delivered_error = 0;        // the worst |delivered / bought - 1|
  double step_p50_ms = 0, step_p99_ms = 0, step_max_ms = 0;
};
MixTrial run_mix(const TrialOptions& options);
// The same, and somebody who sends long documents: with prompts cut, and as it was before.
enum class Prompts : uint8_t { kCut, kWhole };
MixTrial run_documents(const TrialOptions& options, Prompts prompts);

// One tenant buys twice as much, in the middle.
struct DoublingTrial {
  std::vector<FlywheelShare> before, after;
  std::vector<std::vector<FlywheelShare>> curve;  // by point in time
  double seconds_per_point = 0;
  double doubled = 0;       // rate after over rate before
  double others_moved = 0;  // the worst relative change of another's rate
};
DoublingTrial run_doubling(const TrialOptions& options);

// A neighbour asks for ten times as much.
struct NoisyTrial {
  engine::ServiceClass service_class = engine::ServiceClass::kStandard;  // of the neighbour
  std::vector<FlywheelShare> quiet, noisy;  // the neighbour is the last one
  double p99_moved = 0;  // the worst relative growth of another's p99 of the time between tokens
  double delivered_moved = 0;  // the worst relative change of another's rate
};
NoisyTrial run_noisy(const TrialOptions& options, engine::ServiceClass neighbour);

// What is delivered against what is bought.
struct LinearTrial {
  std::vector<double> bought, delivered;  // PTU
  double slope = 0;
  double r_squared = 0;
};
LinearTrial run_linear(const TrialOptions& options, int points);

}  // namespace hearth::sim
