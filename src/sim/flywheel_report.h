// The trials as a table for people and as JSON for machines, with the bar of each.
#pragma once

#include <string>
#include <vector>

#include "sim/flywheel_trials.h"
#include "sim/server_rig.h"

namespace hearth::sim {

struct FlywheelResults {
  std::string title;  // on what
  double capacity_ptu = 0;
  MixTrial mix;
  MixTrial cut, whole;  // with documents
  DoublingTrial doubling;
  NoisyTrial noisy_standard, noisy_provisioned;
  LinearTrial linear;
  std::vector<FleetPoint> fleet;  // empty: one machine
};

// Everything, in turn; `progress` hears the name of each.
FlywheelResults run_flywheel(const TrialOptions& options, int linear_points, int32_t servers,
                             const std::function<void(const char*)>& progress);

// One line for each bar of the contract.
struct FlywheelBar {
  const char* name;
  double value = 0;
  double limit = 0;
  const char* unit = "";
  bool at_least = false;  // the limit is a floor
  bool held() const { return at_least ? value >= limit : value <= limit; }
};
std::vector<FlywheelBar> flywheel_bars(const FlywheelResults& results);

std::string doubling_table(const DoublingTrial& trial);
std::string flywheel_table(const FlywheelResults& results);
// One object.
std::string flywheel_json(const FlywheelResults& results);

}  // namespace hearth::sim
