// One process of a run: started in its own session and, where there is one, the run's cgroup, with
// the environment in which a worker finds its rank, its devices and its fencing token.
#pragma once

#include <span>
#include <string>
#include <sys/types.h>
#include <vector>

#include "forge/agent/run_folder.h"

namespace hearth::forge {

struct WorkerProcess {
  pid_t pid = 0;
  int output = -1;  // what it writes, stdout and stderr; does not block
};

// Throws Error(kIo) when the machine has no process or pipe to give. A command that cannot be
// executed says so in its output and exits with 127.
WorkerProcess start_worker(const RunOrder& order, const std::string& folder, int32_t rank,
                           std::span<const Slot> slots);

// NAME=value, as a worker of this rank sees it besides what the agent itself had.
std::vector<std::string> worker_environment(const RunOrder& order, int32_t rank,
                                            std::span<const Slot> slots);
// The words of the command with {rank}, {world}, {workers} and {devices} filled in.
std::vector<std::string> worker_command(const RunOrder& order, int32_t rank,
                                        std::span<const Slot> slots);

void kill_cgroup(const RunOrder& order);

// The folder of a cgroup v2 tree in which this process may make groups; empty: none.
std::string find_cgroup();

}  // namespace hearth::forge
