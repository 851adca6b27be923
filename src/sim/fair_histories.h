// The promise of the classes and the counters, checked over random histories in virtual time:
// tenants with random rates that always have something waiting, for random stretches.
//
//   - Two provisioned tenants that are backlogged over a stretch are served alike, each in time at
//   its
//     own rate, but for the bound of the virtual token counter: twice what one can be served
//     between two of its turns (its longest prompt, and what a full house of its sequences still
//     generates).
//   - While a request of a higher class waits, and not for memory, no prompt of a lower one is
//     computed.
//
// Service is measured here, from plans and outputs; the scheduler's own counters are not looked at.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "engine/types.h"

namespace hearth::sim {

// What the scheduler is told wrongly, to see that the laws find it.
enum class FairFault : uint8_t {
  kNone,
  kIgnoredRates,   // all tenants have the same rate
  kFreeTokens,     // generated tokens cost nothing
  kFreePrompts,    // prompts cost nothing
  kOneLine,        // all tenants are one
  kLateRate,       // a change of a rate is not told
  kForgottenClass  // batch work comes as standard work
};

const char* to_string(FairFault fault);
std::span<const FairFault> all_fair_faults();

struct FairReport {
  int64_t histories = 0;
  // Of the first history that failed; its text holds the seed. Empty: every law held.
  std::string failure;
  int64_t stretches = 0;  // over which two tenants were compared
  // The largest difference that was seen, as a share of its bound.
  double closest = 0;
  bool ok() const { return failure.empty(); }
};

// Histories of the seeds seed, seed + 1, ...
FairReport run_fair_histories(uint64_t seed, int64_t count, FairFault fault = FairFault::kNone);

}  // namespace hearth::sim
