// A store under a scheduler, for tests of stores. One thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "forge/server/control.h"
#include "forge/server/server.h"

namespace hearth::forge {

inline JobSpec small_job() {
  JobSpec spec;
  spec.name = "small";
  spec.min_workers = spec.max_workers = 2;
  return spec;
}

// A control with one node that is up.
struct StoreHouse {
  explicit StoreHouse(Store& its_store) : store(its_store) {
    control = std::make_unique<Control>(store, single_fleet(), policy_named("hearth"), LeaseTerms{},
                                        1'000);
  }
  std::vector<Command> turn(Millis now, const std::vector<Event>& events) {
    std::vector<Request> requests;
    for (const Event& event : events) {
      requests.push_back({event, [this](JobId job, const std::optional<Refusal>& refusal) {
                            submitted.push_back(job);
                            refusals.push_back(refusal ? refusal->text : "");
                          }});
    }
    std::vector<Command> out;
    control->turn(now, std::move(requests), out);
    return out;
  }
  void join() {
    turn(1'001, {Enroll{{"n", 0, 0, 4, ""}}});
    turn(1'002, {Joined{0, 1}});
  }

  Store& store;
  std::unique_ptr<Control> control;
  std::vector<JobId> submitted;
  std::vector<std::string> refusals;
};

}  // namespace hearth::forge
