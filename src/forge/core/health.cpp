#include "forge/core/health.h"

#include <algorithm>
#include <cmath>

namespace hearth::forge {
namespace {

void failed(NodeHealth& health, Millis now, bool room, const HealthTerms& terms) {
  health.proofs = 0;
  ++health.strikes;
  switch (health.state) {
    case Health::kHealthy:
      health.state = Health::kSuspect;
      return;
    case Health::kSuspect:
      if (health.strikes < terms.strikes || !room) return;
      health.state = Health::kQuarantined;
      health.relapses = 0;
      trouble(health, now, terms);
      return;
    case Health::kValidating:
      if (++health.relapses >= terms.validations_max) health.state = Health::kRepair;
      return;
    case Health::kQuarantined:
    case Health::kRepair:
      return;
  }
}

void passed(NodeHealth& health, const HealthTerms& terms) {
  health.strikes = 0;
  if (health.state == Health::kSuspect) health.state = Health::kHealthy;
  if (health.state != Health::kValidating) return;
  if (++health.proofs < terms.proofs) return;
  health.state = Health::kHealthy;
  health.proofs = 0;
  health.why.clear();
}

}  // namespace

const char* to_string(Health health) {
  constexpr const char* kNames[] = {"healthy", "suspect", "quarantined", "validating", "repair"};
  return kNames[static_cast<int>(health)];
}

void checked(NodeHealth& health, Millis now, const std::vector<CheckResult>& results, bool empty,
             bool room, const HealthTerms& terms) {
  // Checks beside running jobs prove little: validation begins when the last one has left.
  if (health.state == Health::kQuarantined && empty) health.state = Health::kValidating;
  const auto bad = std::find_if(results.begin(), results.end(),
                                [](const CheckResult& result) { return !result.good; });
  if (bad == results.end()) return passed(health, terms);
  health.why = bad->name + ": " + bad->text;
  failed(health, now, room, terms);
}

void doubted(NodeHealth& health, const std::string& why) {
  health.why = why;
  if (health.state == Health::kHealthy) health.state = Health::kSuspect;
  // Such a round proves nothing.
  if (health.state == Health::kValidating) health.proofs = std::max(0, health.proofs - 1);
}

void trouble(NodeHealth& health, Millis now, const HealthTerms& terms) {
  health.lemon = lemon_score(health, now, terms) + 1;
  health.lemon_at = now;
}

void seen_to(NodeHealth& health) {
  if (health.state != Health::kRepair && health.state != Health::kQuarantined) return;
  health.state = Health::kValidating;
  health.proofs = health.relapses = health.strikes = 0;
}

double lemon_score(const NodeHealth& health, Millis now, const HealthTerms& terms) {
  const auto age = static_cast<double>(now - health.lemon_at);
  return health.lemon * std::exp2(-age / static_cast<double>(terms.lemon_half_life));
}

}  // namespace hearth::forge
