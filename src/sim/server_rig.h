// Servers of a data centre in virtual time, measured as a real one is: `hearth calibrate` on a
// roofline, and trials on what came of it.
#pragma once

#include <cstdint>
#include <vector>

#include "flywheel/step_probe.h"
#include "sim/accelerator.h"
#include "sim/flywheel_trials.h"

namespace hearth::sim {

struct ServerRig {
  ServerSpec server;
  flywheel::ProbeResult calibration;
  engine::EngineConfig config;
  engine::Cost capacity = 0;  // a minute
};

ServerRig calibrate_server(const ServerSpec& server, Nanos step_target, uint64_t seed);
// Trials whose houses stand on such a server, with steps that vary by `jitter`.
TrialOptions server_trials(const ServerRig& rig, double jitter, uint64_t seed);

// Many servers that sell together: each tenant's purchase is spread over them.
struct FleetPoint {
  int32_t servers = 0;
  double bought = 0;       // PTU, of all tenants
  double delivered = 0;    // PTU
  double worst_error = 0;  // of one tenant over the fleet: |delivered / bought - 1|
};
std::vector<FleetPoint> run_fleet(const TrialOptions& options, int32_t servers);

}  // namespace hearth::sim
