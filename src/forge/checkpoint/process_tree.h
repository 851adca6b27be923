// A job whose processes can be saved as they are: a tree in a PID namespace of its own, so that
// every process keeps its number wherever it goes on. The first process is a shell that starts the
// program, passes SIGTERM on, and says on a pipe how the program ended.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

namespace hearth::forge {

// Where the first process says how the program ended, as a line with a number.
constexpr int kStatusDescriptor = 3;

// Like fork(), in a new PID namespace: 0 in the child, which is its first process.
pid_t fork_into_namespace();

// The words that make a shell the first process and `command` its child.
std::vector<std::string> under_init(const std::vector<std::string>& command);

std::vector<pid_t> children_of(pid_t pid);
// `pid` and all below it.
std::vector<pid_t> tree_of(pid_t pid);
// What all of them hold in memory.
int64_t resident_bytes(const std::vector<pid_t>& pids);
// The inode of a pipe that `pid` has as this descriptor; 0: there is none.
ino_t pipe_of(pid_t pid, int descriptor);

// A process in a namespace of its own that does nothing, for a probe.
pid_t start_sleeper();

// A script for CRIU, which runs `command` once the processes it has restored run. Returns `path`.
std::string write_script(const std::string& path, const std::string& command);

}  // namespace hearth::forge
