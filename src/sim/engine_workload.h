// Random configurations and traffic for the engine, all from one seed.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "engine/config.h"
#include "engine/request.h"
#include "sim/fake_model.h"

namespace hearth::sim {

struct SimRequest {
  engine::Request request;  // as the tenant sends it, without constraints
  FakeRequest fake;
  Nanos arrival = 0;
  // The client goes away then; -1: it stays.
  Nanos leaves = -1;
  // The server sees a stop string in choice 0 after so many tokens; -1: never.
  int32_t stop_string_after = -1;
  // Not 0: each choice is restricted by a FakeConstraint of this length.
  int32_t constraint_length = 0;
};

struct SimAdapter {
  engine::AdapterId id = 0;
  int32_t pages = 0;
  Nanos load_time = 0;
  double failure_rate = 0;  // of loads
  Nanos removed = -1;       // from then on it is not served; -1: it stays
};

struct Workload {
  engine::EngineConfig config;
  std::vector<engine::Cost> deployments;  // what number 1, 2, ... bought a minute
  std::vector<SimAdapter> adapters;
  std::vector<SimRequest> requests;  // by arrival
};

Workload make_workload(Random& random);

// The constraint of one choice, new; null where the request has none.
std::shared_ptr<engine::TokenConstraint> make_constraint(const SimRequest& request, int32_t choice);

}  // namespace hearth::sim
