// How well jobs that ask for parts of devices pack: jobs drawn from a list are placed one after the
// other until more has been asked for than there is, and none ends.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "sim/forge_replay.h"

namespace hearth::sim {

enum class Placer {
  kHearth,   // the real Fleet
  kBestFit,  // the node with the least left that takes the job, and its fullest devices
};

struct PackingPoint {
  double asked = 0;      // of all devices, by every job that came so far
  double allocated = 0;  // of all devices
  // Free, but of no use to a job of the list: the mean over its jobs, of all devices.
  double stranded = 0;
};

// One point for each of `marks` (parts of the fleet asked for, ascending).
std::vector<PackingPoint> pack_forge(const forge::FleetSpec& fleet,
                                     const std::vector<ReplayJob>& jobs, Placer placer,
                                     std::span<const double> marks, uint64_t seed);

}  // namespace hearth::sim
