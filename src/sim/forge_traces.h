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

// One of Gavel's traces, with its simulation_throughputs.json; the fleet of its paper, 36 devices
// of each of three kinds. Jobs keep their sizes and run at the rates of workers that are together;
// a size that nobody measured counts as so many times one worker.
ForgeTrace gavel_trace(std::string_view jobs, std::string_view throughputs);

// Alibaba's nodes and pods of 2023. A pod's devices are on one node.
forge::FleetSpec alibaba_fleet(std::string_view nodes);
ForgeTrace alibaba_trace(std::string_view pods, forge::FleetSpec fleet);

// The same jobs on another fleet. Kinds and virtual clusters keep their names; jobs of a virtual
// cluster that this fleet lacks go to its first. Jobs whose rates are known run on the kinds that
// both know. Throws Error when a job is left with none.
ForgeTrace on_fleet(const ForgeTrace& trace, const forge::FleetSpec& fleet);

}  // namespace hearth::sim
