#include "sim/flywheel_trials.h"

#include <algorithm>
#include <cmath>

#include "flywheel/ptu.h"

namespace hearth::sim {
namespace {

using engine::Cost;
using engine::ServiceClass;

constexpr TrialShape kShapes[] = {
    {"prompt-heavy", 1000, 200}, {"balanced", 500, 500}, {"generation-heavy", 200, 1000}};
// Of what is sold; different for each.
constexpr double kParts[] = {0.25, 0.30, 0.45};
// Of who will buy twice as much.
constexpr double kLeastPart = 0.15;
// Everybody asks for more than was bought, so that what is delivered is what the contract says.
constexpr double kLoad = 1.6;

Cost part_of(const TrialOptions& options, double part) {
  return std::max<Cost>(
      static_cast<Cost>(static_cast<double>(options.capacity) * options.sold * part), 1);
}

int32_t scaled(const TrialOptions& options, int32_t tokens) {
  return std::max(static_cast<int32_t>(std::lround(tokens * options.scale)), 2);
}

FlywheelTenant tenant_of(const TrialOptions& options, size_t shape, double part) {
  return {.name = kShapes[shape].name,
          .service_class = ServiceClass::kProvisioned,
          .rate = part_of(options, part),
          .prompt_tokens = scaled(options, kShapes[shape].prompt),
          .generated_tokens = scaled(options, kShapes[shape].generated),
          .load = kLoad};
}

std::vector<FlywheelShare> measure(FlywheelHouse& house, const TrialOptions& options) {
  house.run(options.warm_up);
  house.take();
  house.run(options.window);
  return house.take();
}

double relative(double now, double before) { return before > 0 ? now / before - 1 : 0; }

MixTrial mix(const TrialOptions& options, const engine::EngineConfig& config,
             std::span<const FlywheelTenant> more) {
  const auto house = options.house(config, options.seed);
  for (size_t i = 0; i < std::size(kShapes); ++i) house->add(tenant_of(options, i, kParts[i]));
  for (const FlywheelTenant& tenant : more) house->add(tenant);
  house->run(options.warm_up);
  house->take();
  house->run(options.window);
  MixTrial trial;
  trial.step_p50_ms = quantile(house->step_times(), 0.5);
  trial.step_p99_ms = quantile(house->step_times(), 0.99);
  trial.step_max_ms = quantile(house->step_times(), 1);
  trial.shares = house->take();
  double least = 1e300, most = 0;
  for (const FlywheelShare& share : std::span(trial.shares).first(std::size(kShapes))) {
    least = std::min(least, share.time_per_token_ms);
    most = std::max(most, share.time_per_token_ms);
    trial.delivered_error =
        std::max(trial.delivered_error,
                 std::abs(relative(share.delivered, static_cast<double>(share.bought))));
  }
  trial.time_per_token_spread = relative(most, least);
  return trial;
}

// The mean of several points of a curve; requests summed up.
std::vector<FlywheelShare> mean_of(std::span<const std::vector<FlywheelShare>> points) {
  std::vector<FlywheelShare> mean = points.front();
  for (size_t i = 0; i < mean.size(); ++i) {
    FlywheelShare& share = mean[i];
    for (const auto& point : points.subspan(1)) {
      share.delivered += point[i].delivered;
      share.prompt_per_minute += point[i].prompt_per_minute;
      share.generated_per_minute += point[i].generated_per_minute;
      share.time_per_token_ms += point[i].time_per_token_ms;
      share.accepted += point[i].accepted;
      share.refused += point[i].refused;
    }
    const auto count = static_cast<double>(points.size());
    share.delivered /= count;
    share.prompt_per_minute /= count;
    share.generated_per_minute /= count;
    share.time_per_token_ms /= count;
  }
  return mean;
}

}  // namespace

Nanos time_of_requests(const TrialOptions& options, int64_t requests) {
  const FlywheelTenant tenant = tenant_of(options, 0, kLeastPart);
  const engine::TokenPrices& prices = options.config.prices;
  const Cost each =
      prices.of_prompt(0, tenant.prompt_tokens, engine::kBaseModel) +
      prices.of_tokens(tenant.prompt_tokens, tenant.generated_tokens, engine::kBaseModel);
  return static_cast<Nanos>(static_cast<double>(each) * static_cast<double>(requests) /
                            static_cast<double>(tenant.rate) * 60 * kSecond);
}

MixTrial run_mix(const TrialOptions& options) { return mix(options, options.config, {}); }

// Somebody without a contract sends documents, and wants a few words about each.
MixTrial run_documents(const TrialOptions& options, Prompts prompts) {
  engine::EngineConfig config = options.config;
  if (prompts == Prompts::kWhole) {
    config.step_time_target = 0;
    config.step_stretch_permille = 0;
    config.long_prefill_token_threshold = config.max_model_len;
    config.max_num_batched_tokens = std::max(config.max_num_batched_tokens, config.max_model_len);
  }
  FlywheelTenant documents;
  documents.name = "documents";
  documents.service_class = ServiceClass::kStandard;
  documents.rate = part_of(options, 0.15);
  documents.prompt_tokens = scaled(options, 5000);
  documents.generated_tokens = scaled(options, 50);
  return mix(options, config, {&documents, 1});
}

// Half of the curve before, half after; the first fifth of each half is not counted, since what was
// accepted before is still under way.
DoublingTrial run_doubling(const TrialOptions& options) {
  constexpr double kPart[] = {kLeastPart, 0.30, 0.40};
  const auto house = options.house(options.config, options.seed);
  for (size_t i = 0; i < std::size(kShapes); ++i) house->add(tenant_of(options, i, kPart[i]));
  house->run(options.warm_up);
  house->take();
  DoublingTrial trial;
  const auto half = static_cast<size_t>(options.points / 2);
  const size_t settle = half / 5 + 1;
  const Nanos least = time_of_requests(options, options.requests_least);
  const Nanos each =
      std::max(2 * options.window / options.points, least / static_cast<Nanos>(half - settle));
  trial.seconds_per_point = static_cast<double>(each) / kSecond;
  for (size_t i = 0; i < 2 * half; ++i) {
    if (i == half) house->set_rate(0, 2 * part_of(options, kPart[0]));
    house->run(each);
    trial.curve.push_back(house->take());
  }
  const std::span points(trial.curve);
  trial.before = mean_of(points.subspan(settle, half - settle));
  trial.after = mean_of(points.subspan(half + settle, half - settle));
  trial.doubled = trial.after[0].delivered / trial.before[0].delivered;
  for (size_t i = 1; i < trial.before.size(); ++i) {
    trial.others_moved =
        std::max(trial.others_moved,
                 std::abs(relative(trial.after[i].delivered, trial.before[i].delivered)));
  }
  return trial;
}

NoisyTrial run_noisy(const TrialOptions& options, ServiceClass neighbour) {
  const auto house = options.house(options.config, options.seed);
  for (size_t i = 0; i < std::size(kShapes); ++i) {
    house->add(tenant_of(options, i, kParts[i] * 0.75));
  }
  FlywheelTenant noisy = tenant_of(options, 0, 0.25);
  noisy.name = "neighbour";
  noisy.service_class = neighbour;
  noisy.load = 1;
  const size_t last = house->add(noisy);
  NoisyTrial trial;
  trial.service_class = neighbour;
  trial.quiet = measure(*house, options);
  house->set_load(last, 10);
  trial.noisy = measure(*house, options);
  for (size_t i = 0; i < last; ++i) {
    trial.p99_moved =
        std::max(trial.p99_moved, relative(trial.noisy[i].itl_p99_ms, trial.quiet[i].itl_p99_ms));
    trial.delivered_moved =
        std::max(trial.delivered_moved,
                 std::abs(relative(trial.noisy[i].delivered, trial.quiet[i].delivered)));
  }
  return trial;
}

LinearTrial run_linear(const TrialOptions& options, int points) {
  LinearTrial trial;
  for (int i = 1; i <= points; ++i) {
    const auto house = options.house(options.config, options.seed + static_cast<uint64_t>(i));
    house->add(tenant_of(options, 1, 0.75 * i / points));
    house->add(tenant_of(options, 2, 0.25));
    const auto shares = measure(*house, options);
    trial.bought.push_back(static_cast<double>(shares[0].bought) / flywheel::kCostPerPtu);
    trial.delivered.push_back(shares[0].delivered / flywheel::kCostPerPtu);
  }
  const auto count = static_cast<double>(points);
  double mean_x = 0, mean_y = 0, xx = 0, xy = 0, yy = 0;
  for (size_t i = 0; i < trial.bought.size(); ++i) {
    mean_x += trial.bought[i] / count;
    mean_y += trial.delivered[i] / count;
  }
  for (size_t i = 0; i < trial.bought.size(); ++i) {
    const double x = trial.bought[i] - mean_x, y = trial.delivered[i] - mean_y;
    xx += x * x;
    xy += x * y;
    yy += y * y;
  }
  trial.slope = xy / xx;
  trial.r_squared = xy * xy / (xx * yy);
  return trial;
}

}  // namespace hearth::sim
