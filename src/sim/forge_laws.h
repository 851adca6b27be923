// The laws of Forge, checked against what agents really run, not against what the scheduler
// believes. Each returns an empty text, or what was broken.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "forge/core/scheduler.h"
#include "sim/forge_hands.h"

namespace hearth::sim {

// What each job's owner asked for and what became of it, kept outside the scheduler.
struct ForgeTruth {
  std::vector<forge::JobSpec> specs;
  std::vector<bool> done;
};

// No device is given twice, no job runs in two epochs or after its end, residency and kind are
// kept.
std::string check_workers(const forge::FleetSpec& fleet,
                          const std::vector<const SimulatedHands*>& hands, const ForgeTruth& truth);

// The two fleets agree with the jobs; gangs are whole; no job has left the books.
std::string check_books(const forge::Scheduler& scheduler, const ForgeTruth& truth);

// After every plan: no job waits inside its guarantee while enough places for it are free, and each
// that waits there has a reason.
std::string check_guarantees(const forge::Scheduler& scheduler);

}  // namespace hearth::sim
