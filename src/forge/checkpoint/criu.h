// CRIU, the program that writes processes down and brings them back: what of it works on this
// machine, and how it is called. CRIU is not part of Hearth: it is found when an agent starts.
#pragma once

#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

#include "forge/core/types.h"

namespace hearth::forge {

struct Criu {
  std::string program;  // empty: processes cannot be saved here
  std::string shim;     // preloaded into it and into nothing else; empty: it needs none
  std::string text;     // what is possible, or why nothing is and the cure
  bool works() const { return !program.empty(); }
};

// Tries the whole way with a process of its own: written down, killed, brought back. `program`: a
// path, or a name to look for. Takes a fraction of a second. To be called in a process with one
// thread, with a folder that may be written.
Criu probe_criu(const std::string& program, const std::string& folder);

// What a probe found, for the keepers; false: not yet there.
void write_criu(const std::string& path, const Criu& criu);
bool read_criu(const std::string& path, Criu& out);

enum class AfterDump { kGoesOn, kStaysStopped };

struct DumpOrder {
  pid_t root = 0;      // the first process of a PID namespace
  std::string folder;  // gets the files of the image, and dump.log
  AfterDump after = AfterDump::kGoesOn;
  Connections connections = Connections::kRefuse;
};
// Waits for the end of it. Throws Error(kUnavailable) with what CRIU says of the reason.
void dump_processes(const Criu& criu, const DumpOrder& order);

struct RestoreOrder {
  std::string folder;  // with the files of the image
  Connections connections = Connections::kRefuse;
  // Descriptors of this process that take the place of pipes of the image, by their inodes.
  std::vector<std::pair<int, ino_t>> pipes;
  std::string after;  // a script that CRIU runs when the processes run; empty: none
};
// This process becomes CRIU and stays the processes' parent: it ends when they have, with whatever
// status.
[[noreturn]] void become_restorer(const Criu& criu, const RestoreOrder& order);

// The first error of a log of CRIU's, in words of ours where we know the reason.
std::string complaint(const std::string& log_path);

}  // namespace hearth::forge
