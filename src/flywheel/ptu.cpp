#include "flywheel/ptu.h"

#include <cmath>

namespace hearth::flywheel {
namespace {

double units(engine::Cost cost) {
  return static_cast<double>(cost) / static_cast<double>(engine::kCostPerUnit);
}

}  // namespace

PtuNeed ptu_need(const PtuWorkload& workload, const engine::TokenPrices& prices, Nanos window) {
  const int32_t computed = workload.prompt_tokens - workload.cached_tokens;
  PtuNeed need;
  need.prompt = units(prices.prompt * computed);
  need.prompt_context =
      units(prices.of_prompt(workload.cached_tokens, workload.prompt_tokens, engine::kBaseModel)) -
      need.prompt;
  need.generated = units(prices.generated * workload.generated_tokens);
  need.generated_context = units(prices.of_tokens(workload.prompt_tokens, workload.generated_tokens,
                                                  engine::kBaseModel)) -
                           need.generated;
  const double per_minute = workload.requests_per_minute * need.request();
  need.steady = per_minute / kUnitsPerPtu;
  // Arrivals of a window are Poisson: two deviations above their mean.
  const double windows = 60.0 * kSecond / static_cast<double>(window);
  const double arrivals = workload.requests_per_minute / windows;
  need.random = need.steady + 2 * std::sqrt(arrivals) * need.request() * windows / kUnitsPerPtu;
  return need;
}

}  // namespace hearth::flywheel
