// The hands of a Slurm node's agent. A run is a batch job that starts the keeper of every other run
// (agent/keeper.h) on the node; what they have to say to each other goes through a folder that both
// sides see. So logs, exit codes, grace and fence are those of any node, and a controller that is
// away stops nothing that runs.
//
//   STATE/ID                       in the names of this region's jobs
//   STATE/nodes/NODE/              as an agent's own folder (process_executor.h), and in each run
//     script                       what sbatch is given
//     claimed/                     made by the script before anything else, or by this side when
//     the
//                                  run must not start any more: whoever makes it has it. So a copy
//                                  of a submission whose answer was lost does nothing.
//     stop                         "save" or "kill": what the keeper is asked to do
//     slurm.out                    what the script said
//
// Times are the wall clock's: the nodes' clocks must agree to within half the fence's margin, an
// eighth of the lease.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "forge/agent/buried_file.h"
#include "forge/agent/executor.h"
#include "forge/agent/fence_file.h"
#include "forge/agent/run_folder.h"
#include "forge/slurm/region.h"

namespace hearth::forge {

struct SlurmNodeTerms {
  std::string state_dir;            // of this node alone, seen from here and from there
  std::string node;                 // its name
  std::string id;                   // of the region's state folder, in every job's name
  std::vector<std::string> keeper;  // the command of a keeper on the node, without the folder
  std::string gres;                 // what its devices are to Slurm; empty: its cores
  int32_t cpus_per_device = 1;
  int64_t memory_mb_per_device = 0;
  Millis lease_ms = 30'000;
  Millis start_ms = 60'000;  // so long a job may wait in Slurm's queue
};

// Begins the name of every job of a region's state folder.
std::string slurm_name_prefix(const std::string& id);

class SlurmExecutor final : public Executor {
 public:
  SlurmExecutor(SlurmNodeTerms terms, SlurmRegion& region, Millis now);
  SlurmExecutor(const SlurmExecutor&) = delete;
  SlurmExecutor& operator=(const SlurmExecutor&) = delete;

  Recovered recover() override;
  void begin(Incarnation incarnation) override;
  void start(const Start& order) override;
  void halt(JobId job, Epoch epoch, StopMode mode) override;
  void bury(JobId job, Epoch epoch) override;
  void set_fence(Millis at) override;
  std::vector<Exit> poll(Millis now) override;
  std::vector<NewImage> take_images() override { return {}; }

  bool idle() const { return runs_.empty(); }
  std::string run_dir(JobId job, Epoch epoch) const;
  std::string job_name(JobId job, Epoch epoch) const;

 private:
  using Key = std::pair<JobId, Epoch>;
  struct Run {
    std::optional<StopMode> asked = {};  // and not passed on yet
    std::string trouble = {};            // with its folder; said once
    bool killed = false;
    Millis killed_at = 0;
    Millis over_since = -1;  // Slurm says that it is over, and there is no word of its end
  };

  std::string runs_dir() const;
  SlurmOrder order_for(const Start& start) const;
  std::optional<RunExit> look_at(const Key& key, Run& run, Millis now);
  void pass_stop_on(const Key& key, Run& run);
  void watch_over(const Key& key, Run& run, Millis now);
  void settle_over(const Key& key, Run& run, const SlurmNews& news, Millis now);
  void fail(const Key& key, const std::string& why);

  SlurmNodeTerms terms_;
  SlurmRegion& region_;
  Incarnation incarnation_ = 0;
  std::optional<FenceFile> fence_;  // these two are there once the state folder is
  std::optional<BuriedFile> buried_;
  Millis now_ = 0;
  std::map<Key, Run> runs_;
};

}  // namespace hearth::forge
