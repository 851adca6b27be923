// The scheduler and its store as one: requests in, and whoever asked hears nothing before what was
// decided is on disk; commands go out after that too. No clock, no threads, no network: the server
// drives it with real ones, the simulator with others. Owned by one thread.
//
// A turn takes everything that came since the last one: one plan and one commit for all of it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "forge/server/store.h"

namespace hearth::forge {

struct Refusal {
  ErrorCode code = ErrorCode::kInvalidArgument;
  std::string text;
};

struct Request {
  Event event;
  // Called once, after the commit. `job` is the one that was submitted, or -1.
  std::function<void(JobId job, const std::optional<Refusal>& refusal)> done;
};

class Control {
 public:
  // Throws Error when `fleet` (its nodes do not count) contradicts what the store knows.
  Control(Store& store, const FleetSpec& fleet, const Policy& policy, LeaseTerms terms, Millis now);

  // Throws Error when the store fails: what was decided may not be on disk then, nobody has heard
  // of it, and this object must not be used any more.
  void turn(Millis now, std::vector<Request> requests, std::vector<Command>& out);

  const Scheduler& scheduler() const { return *scheduler_; }
  const LeaseTerms& terms() const { return terms_; }

 private:
  Store& store_;
  LeaseTerms terms_;
  Millis next_tick_ = 0;
  std::unique_ptr<Scheduler> scheduler_;
};

// What to write down for the picture over time.
Sample sample_of(const Scheduler& scheduler);

}  // namespace hearth::forge
