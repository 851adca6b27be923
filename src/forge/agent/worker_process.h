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
  int status = -1;  // in a namespace: how the program ended, as a line; does not block
};

// kOwn: processes that can be saved as they are (checkpoint/process_tree.h).
enum class PidSpace { kShared, kOwn };

// Throws Error(kIo) when the machine has no process or pipe to give. A command that cannot be
// executed says so in its output and exits with 127.
WorkerProcess start_worker(const RunOrder& order, const std::string& folder, int32_t rank,
                           std::span<const Slot> slots, PidSpace space = PidSpace::kShared);

// A pipe whose reading end does not block; both are closed when a program is executed.
struct Pipe {
  int read = -1;
  int write = -1;
};
Pipe make_pipe(const std::string& folder);

// In a child: the run's cgroup, where there is one.
void join_cgroup(const RunOrder& order);

// NAME=value, as a worker of this rank sees it besides what the agent itself had.
std::vector<std::string> worker_environment(const RunOrder& order, int32_t rank,
                                            std::span<const Slot> slots);
// The words of the command with {rank}, {world}, {workers}, {devices} and {port} filled in.
std::vector<std::string> worker_command(const RunOrder& order, int32_t rank,
                                        std::span<const Slot> slots);

void kill_cgroup(const RunOrder& order);

// The folder of a cgroup v2 tree in which this process may make groups; empty: none.
std::string find_cgroup();

}  // namespace hearth::forge
