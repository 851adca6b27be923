// Slurm through its own commands, sbatch, squeue, sinfo and scancel: they are on every login node,
// speak to the controller as it wants to be spoken to, and carry the user's identity. One thread.
#pragma once

#include "forge/slurm/slurm.h"

namespace hearth::forge {

struct SlurmCommandOptions {
  std::string folder;                     // where the commands are; empty: in PATH
  std::string conf;                       // the controller's slurm.conf; empty: the machine's own
  std::string partition;                  // empty: the default one
  std::vector<std::string> sbatch_flags;  // said with every job, say --account=physics
  int64_t patience_ms = 10'000;           // with one command
};

class SlurmCommands final : public Slurm {
 public:
  explicit SlurmCommands(SlurmCommandOptions options) : options_(std::move(options)) {}

  Submitted submit(const SlurmOrder& order) override;
  std::vector<SlurmJob> jobs() override;
  std::vector<SlurmNode> nodes() override;
  void cancel(const std::vector<int64_t>& ids) override;

 private:
  struct Said {
    int status = -1;  // exit status; -1: it did not end in time
    std::string out;
    std::string errors;
  };
  Said run(const char* program, const std::vector<std::string>& words) const;
  std::string ask(const char* program) const;

  SlurmCommandOptions options_;
};

}  // namespace hearth::forge
