// Hands with processes. Each run, an epoch of a job on this node, has a folder and a keeper: a
// small process that starts the workers, keeps their logs, and writes down how they ended. It
// outlives the agent and kills everything when the fence passes, so nothing runs that nobody
// watches.
//
//   STATE/incarnation            number and boot; another boot, and everything has died
//   STATE/home                   a word that no other agent on this machine has
//   STATE/criu                   what can be done to save processes; written by a probe
//   STATE/fence                  when all must be dead, on the clock of boot_millis()
//   STATE/buried                 what must not start although it has no folder; disk set aside
//   STATE/runs/INCARNATION/JOB.EPOCH/
//     order                      what to run; here before the keeper is
//     lock                       locked by the keeper as long as it lives (its pid: F_GETLK)
//     exit                       how it ended; here once all its processes are dead
//     exit.room                  disk set aside for that
//     root, image, story         where processes are saved as they are: the first one of them, the
//                                newest image, and what took how long
//     RANK.log
#pragma once

#include <map>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "forge/agent/buried_file.h"
#include "forge/agent/executor.h"
#include "forge/agent/fence_file.h"

namespace hearth::forge {

struct ProcessExecutorOptions {
  std::string state_dir;            // of this agent alone
  std::vector<std::string> keeper;  // the command of a keeper; its folder comes as the last word
  std::string node;                 // its name, for the workers' environment
  std::string cgroups;              // a cgroup v2 folder in which it may make its own; empty: none
  std::string device_variable;      // lists a worker's devices besides HEARTH_DEVICES; or empty
  std::string images;               // where images of processes are kept (checkpoint/image_store.h)
  std::string cuda_driver;          // the library, or where it is (checkpoint/cuda.h)
};

class ProcessExecutor final : public Executor {
 public:
  // Throws Error(kIo) when the folder cannot be made, and kUnavailable when another agent has it.
  explicit ProcessExecutor(ProcessExecutorOptions options);
  ~ProcessExecutor() override;

  Recovered recover() override;
  void begin(Incarnation incarnation) override;
  void start(const Start& order) override;
  void halt(JobId job, Epoch epoch, StopMode mode) override;
  void bury(JobId job, Epoch epoch) override;
  void set_fence(Millis at) override;
  std::vector<Exit> poll(Millis now) override;
  std::vector<NewImage> take_images() override;

  // Of the present incarnation's runs.
  std::string run_dir(JobId job, Epoch epoch) const;

 private:
  struct Run {
    pid_t keeper = 0;  // our child, or 0: an earlier agent's, or over
    Millis halted_at = -1;
    StopMode mode = StopMode::kCheckpoint;
    ImageRef image = {};
    size_t told = 0;           // so much of its story is in this agent's log
    std::string trouble = {};  // with writing its end down; said once
  };
  using Key = std::pair<JobId, Epoch>;

  std::string runs_dir() const;
  pid_t spawn_keeper(const std::string& folder) const;
  bool bury_orphans(const std::string& folder, Run& run);
  void signal(const Key& key, const Run& run) const;
  void retell(const Key& key, Run& run) const;

  ProcessExecutorOptions options_;
  Incarnation incarnation_ = 0;
  int lock_ = -1;
  std::string home_;                // a word that no other agent on this machine has
  std::string cgroup_;              // of all its runs; empty: none
  std::optional<FenceFile> fence_;  // these two are there once the state folder is
  std::optional<BuriedFile> buried_;
  std::map<Key, Run> running_;
  std::vector<NewImage> images_;
};

// Milliseconds since the machine started, time asleep included: the one clock that an agent, the
// next agent and the keepers share.
Millis boot_millis();

}  // namespace hearth::forge
