#include "forge/core/policy.h"

#include <string>

#include "base/error.h"

namespace hearth::forge {

std::span<const Policy> policies() {
  static constexpr Policy kPolicies[] = {
      {"fifo", "in the order of arrival; the first that does not fit blocks the rest", plan_fifo,
       nullptr, 0},
      {"backfill", "in the order of arrival; who fits goes ahead of who does not", plan_backfill,
       nullptr, 0},
      {"srtf", "shortest remaining time first, with preemption", plan_srtf, nullptr, 0},
      {"gavel", "the least served next, each on the kind worth most to it, every minute",
       plan_gavel, nullptr, 60'000},
      {"sia", "goodput shared out among elastic jobs, kinds compared, every minute", plan_sia,
       nullptr, 60'000},
      {"hearth", "guarantees first, cheapest reclaim, elastic growth, defragmentation", plan_hearth,
       arrive_hearth, 0},
      {"hearth-still", "hearth that moves nobody to make a hole larger", plan_hearth_still,
       arrive_hearth, 0},
  };
  return kPolicies;
}

const Policy& policy_named(std::string_view name) {
  std::string names;
  for (const Policy& policy : policies()) {
    if (name == policy.name) return policy;
    names += names.empty() ? policy.name : std::string(", ") + policy.name;
  }
  throw_error(ErrorCode::kNotFound, "policy", "no policy '{}'; take one of: {}", name, names);
}

}  // namespace hearth::forge
