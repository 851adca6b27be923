// What is sold: provisioned throughput units.
//
// One PTU is kUnitsPerPtu units of work a minute. A unit is one prompt token of the model, averaged
// over a prompt of engine::kReferencePrompt tokens: one PTU is one such prompt a minute, on every
// machine. What a generated token is in units, and how the price of a long prompt grows, was
// measured for the model (calibration.h). Fractions are sold in thousandths.
#pragma once

#include <cstdint>

#include "engine/cost_model.h"

namespace hearth::flywheel {

constexpr int64_t kUnitsPerPtu = 1000;
constexpr double kCostPerPtu = kUnitsPerPtu * engine::kCostPerUnit;
constexpr int64_t kMilli = 1000;
// The most that one deployment may buy, in PTU: far beyond any machine, and far from any overflow.
constexpr int64_t kPtuMax = 1'000'000;

// Cost a minute.
constexpr engine::Cost rate_of(int64_t milli_ptu) {
  return milli_ptu * (kUnitsPerPtu * engine::kCostPerUnit / kMilli);
}
constexpr double ptu_of(engine::Cost rate_per_minute) {
  return static_cast<double>(rate_per_minute) / static_cast<double>(rate_of(kMilli));
}

// Work done, as the books count it: a million of these are what one PTU does in a minute.
constexpr int64_t kMicro = 1'000'000;
constexpr int64_t micro_ptu_minutes(engine::Cost cost) {
  constexpr engine::Cost each = rate_of(kMilli) / kMicro;
  return (cost + each / 2) / each;
}

// What a workload needs.
struct PtuWorkload {
  double requests_per_minute = 0;
  int32_t prompt_tokens = 0;
  int32_t cached_tokens = 0;  // of the prompt, found computed
  int32_t generated_tokens = 0;
};

struct PtuNeed {
  // Units of one request.
  double prompt = 0;
  double prompt_context = 0;  // what the length of the prompt adds
  double generated = 0;
  double generated_context = 0;  // what the tokens before each generated one add
  double request() const { return prompt + prompt_context + generated + generated_context; }
  // PTU: evenly spaced arrivals, and enough that about one in forty random ones has to wait.
  double steady = 0;
  double random = 0;
};

// `window`: of the bucket that admits.
PtuNeed ptu_need(const PtuWorkload& workload, const engine::TokenPrices& prices, Nanos window);

}  // namespace hearth::flywheel
