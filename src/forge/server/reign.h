// A server's time as the one that decides: the scheduler as the store has it, the thread on which
// it lives, and the routes that need it.
#pragma once

#include "forge/server/api.h"
#include "forge/server/control.h"
#include "forge/server/loop.h"

namespace hearth::forge {

struct ReignTerms {
  FleetSpec fleet;
  const Policy* policy = nullptr;
  LeaseTerms leases;
};

struct Reign {
  // Throws Error when the fleet contradicts what the store knows.
  Reign(Store& store, History& history, LogStore& logs, const ReignTerms& terms, const Clock& clock,
        Loop::OnFailure on_failure)
      : control(store, terms.fleet, *terms.policy, terms.leases, clock.wall() / kMillisecond),
        loop(control, history, clock, std::move(on_failure)),
        api(loop, logs) {}

  Control control;
  Loop loop;
  Api api;
};

// Who decides, as one server knows it.
struct Seat {
  std::shared_ptr<Reign> reign;  // null: another one does
  std::string leader;            // where that one is; empty: nobody decides at the moment
};

}  // namespace hearth::forge
