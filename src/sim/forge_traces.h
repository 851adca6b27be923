// Published traces as jobs of the replay: texts of CSV files in, no files touched.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "sim/forge_replay.h"

namespace hearth::sim {

struct ForgeTrace {
  forge::FleetSpec fleet;
  std::vector<ReplayJob> jobs;  // by submission
};

// Sia's workloads (name,time,application,num_replicas,batch_size) on its 64 devices of three kinds.
// `profiles` maps "<application>/<file>.csv" to the text of each published profile. Batch sizes are
// chosen for the best goodput, as Sia and Pollux do; num_replicas and batch_size are not used.
ForgeTrace sia_trace(std::string_view workload, const std::map<std::string, std::string>& profiles);

enum class Sharing { kStatic, kPooled };
// The Philly list (timestamp,duration,num_gpus,gpu_time,cluster). Each virtual cluster is
// guaranteed its mean demand, or its largest job if that is more, in nodes of eight; kStatic: and
// gets no more.
ForgeTrace philly_trace(std::string_view list, Sharing sharing, int32_t days);

}  // namespace hearth::sim
