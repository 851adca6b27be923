// Random histories of Forge in virtual time: the real server and agents around a fake disk, fake
// processes and a network that loses, copies, delays and reorders. Machines lose power, their disks
// are full for a while, agents are killed while their workers run on, links part, jobs fail, their
// owners resize, move and cancel them, the server is killed and starts again from its store, or
// another one does while it sleeps and some agents still listen to it. Everything follows from the
// seed, and the laws of forge_laws.h hold after each turn.
#pragma once

#include <cstdint>
#include <string>

#include "forge/core/policy.h"

namespace hearth::sim {

// Bugs planted in the hands around the cores, each of which some law must find.
enum class ForgeFault {
  kNone,
  kNoLease,        // agents and workers run on when nobody has heard them for a lease
  kForgetfulStop,  // an agent that has nothing to stop does not remember the epoch
  kEarlyFree,      // a stop is reported before the workers are dead
  kStaleEpoch,     // a word about an old epoch is taken for one about the present
  kLostRows,       // a row that was committed is not on disk
  kWrongRegion,    // a job's residency does not reach the scheduler
  kEarlyWord,      // commands leave before the commit, which a crash then takes back
  kLateLease,      // a deposed server grants leases, since it writes nothing for them
};

struct ForgeHistoryOptions {
  // Decides everything that happens.
  uint64_t seed = 1;
  // Null: the seed picks one of policies().
  const forge::Policy* policy = nullptr;
  // A planted bug.
  ForgeFault fault = ForgeFault::kNone;
};

struct ForgeHistoryReport {
  uint64_t seed = 0;
  std::string failure;  // empty: every law held
  int64_t events = 0;
  int32_t jobs = 0;
  int32_t succeeded = 0;
  int32_t starts = 0;
  int32_t preemptions = 0;
  int32_t nodes_lost = 0;
  int32_t agents_lost = 0;
  int32_t restarts = 0;  // of the scheduler
  int32_t deposed = 0;   // servers that went on in the belief that they decide
  bool ok() const { return failure.empty(); }
};

ForgeHistoryReport run_forge_history(const ForgeHistoryOptions& options);

// Histories of options.seed, options.seed + 1, ...; stops at the first that fails. Counters add up.
ForgeHistoryReport run_forge_histories(ForgeHistoryOptions options, int64_t count);

}  // namespace hearth::sim
