// The files of one run (see process_executor.h), as executor and keeper both read and write them.
#pragma once

#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "forge/agent/executor.h"

namespace hearth::forge {

struct RunOrder {
  Start start;
  std::string node;
  std::string fence_path;
  std::string cgroup;
  std::string device_variable;
  std::string criu_path;    // what the agent's probe of CRIU found (checkpoint/criu.h)
  std::string images;       // the folder of all jobs' images
  std::string cuda_driver;  // the library that takes GPUs off processes (checkpoint/cuda.h)
  std::string home;         // of the agent: numbers of jobs are not the only ones on a machine
};
// The runs that have a folder in `dir`, which is named by them.
struct RunName {
  JobId job = 0;
  Epoch epoch = 0;
};
std::vector<RunName> runs_in(const std::string& dir);
std::string run_folder(const std::string& dir, RunName run);

void write_order(const std::string& folder, const RunOrder& order);
RunOrder read_order(const std::string& folder);

struct RunExit {
  Outcome outcome = Outcome::kKilled;
  std::vector<int32_t> statuses;  // by process: exit status, or -signal
  std::string note;               // why, where the statuses do not say
  ImageRef image;                 // the last one made of this run
};
void write_exit(const std::string& folder, const RunExit& exit);
// Sets disk aside for it, so that a run can end where nothing more can be written.
void make_room_for_exit(const std::string& folder);
std::optional<RunExit> read_exit(const std::string& folder);

// The newest image of a run that is on disk, while it runs.
void write_image(const std::string& folder, const ImageRef& image);
ImageRef read_image(const std::string& folder);

// A line about what became of the run's images, with the time it took; for the agent's log and for
// whoever looks for lost seconds.
void tell(const std::string& folder, const std::string& line);
// The whole lines from `offset` on.
std::vector<std::string> told(const std::string& folder, size_t& offset);

// The first process of a run in a namespace, and when it started: numbers of processes come again.
// The run is dead when it is.
struct RunRoot {
  pid_t pid = 0;
  int64_t started = 0;
};
RunRoot root_of(pid_t pid);
void write_root(const std::string& folder, const RunRoot& root);
RunRoot read_root(const std::string& folder);
bool is_alive(const RunRoot& root);

// Takes the folder's lock for this process, as long as it lives. -1: another process has it.
int lock_run(const std::string& folder);
// The process that has the lock; 0: nobody. The kernel's word: no stale number, no reused one.
pid_t run_keeper(const std::string& folder);

std::string log_path(const std::string& folder, int32_t rank);

// Every process of this run that is alive, found by the mark in its environment, whatever sessions
// and parents it gave itself.
std::string run_mark(const RunOrder& order);
std::vector<pid_t> marked_processes(const std::string& mark);
// Until there are none. What hangs in the kernel is waited for up to `patience_ms`.
bool kill_marked(const std::string& mark, Millis patience_ms);

}  // namespace hearth::forge
