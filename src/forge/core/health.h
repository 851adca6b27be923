// Whether a node can be trusted, as a pure state machine over the results of its checks:
//
//   healthy ──failed──► suspect ──failed again──► quarantined ──empty──► validating ──proofs──►
//   healthy
//      ▲                   │ good                                            │ failed too often
//      └───────────────────┘                                                 ▼
//                                                                          repair (a person's turn)
//
// A quarantined node keeps nothing and gets nothing new. Only so many are taken out at once: a
// check that is wrong everywhere must not empty the fleet.
#pragma once

#include <string>
#include <vector>

#include "forge/core/types.h"

namespace hearth::forge {

enum class Health { kHealthy, kSuspect, kQuarantined, kValidating, kRepair };
const char* to_string(Health health);

struct HealthTerms {
  int32_t strikes = 2;                   // failed checks in a row that put a node into quarantine
  int32_t proofs = 3;                    // good ones in a row that bring it back
  int32_t validations_max = 3;           // failures on the way back until a person has to look
  int32_t out_percent_max = 10;          // of all nodes; one may always go
  Millis lemon_half_life = 604'800'000;  // a week: how slowly trouble is forgotten
};

struct NodeHealth {
  Health state = Health::kHealthy;
  int32_t strikes = 0;   // in a row
  int32_t proofs = 0;    // in a row
  int32_t relapses = 0;  // failures since quarantine began
  double lemon = 0;      // trouble so far, fading
  Millis lemon_at = 0;
  std::string why;  // the last failed check

  // Closed to jobs.
  bool out() const { return state >= Health::kQuarantined; }
  bool operator==(const NodeHealth&) const = default;
};

struct CheckResult {
  std::string name;
  bool good = true;
  std::string text;  // what was measured or expected, for people
};

// One round of checks. `empty`: no worker is on the node; `room`: one more node may be taken out.
void checked(NodeHealth& health, Millis now, const std::vector<CheckResult>& results, bool empty,
             bool room, const HealthTerms& terms);
// A link of the node is bad, and it may be the other end's fault: it is suspect, and no more.
void doubted(NodeHealth& health, const std::string& why);
// The node was lost: trouble, whatever its checks say.
void trouble(NodeHealth& health, Millis now, const HealthTerms& terms);
// A person says that it has been seen to: it has to prove itself.
void seen_to(NodeHealth& health);

// Trouble that is still remembered at `now`; 1 is one incident just now.
double lemon_score(const NodeHealth& health, Millis now, const HealthTerms& terms);

}  // namespace hearth::forge
