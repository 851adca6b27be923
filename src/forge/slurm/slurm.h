// What Forge asks of a Slurm controller, and what it hears. The controller is slow, at times away,
// and its answers get lost: whoever submits must be able to ask later, by name, what came of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hearth::forge {

// A batch job on one node.
struct SlurmOrder {
  std::string name;    // no two orders share one
  std::string script;  // a file that the node sees
  std::string output;  // where the script's own words go
  std::string comment;
  std::string node;
  std::string gres;  // say gpu:2; empty: none
  int32_t cpus = 1;
  int64_t memory_mb = 0;
};

enum class SlurmAnswer {
  kTaken,
  kRefused,  // it is not there and will not be
  kUnknown,  // nobody knows: it may be there
};
struct Submitted {
  SlurmAnswer answer = SlurmAnswer::kUnknown;
  std::string text;  // why not
};

enum class SlurmState {
  kWaiting,     // no process of it has been started
  kAlive,       // some process of it may live
  kEnded,       // its node says that none does
  kNodeFailed,  // its node says nothing any more
};
struct SlurmJob {
  int64_t id = 0;
  std::string name;
  SlurmState state = SlurmState::kWaiting;
  std::string text;  // Slurm's own words: state and reason
};

enum class SlurmCare { kInUse, kDrained, kAway };
struct SlurmNode {
  std::string name;
  std::string address;
  int32_t cpus = 0;
  int64_t memory_mb = 0;
  std::string gres;  // say gpu:2(S:0-1)
  std::vector<std::string> partitions;
  SlurmCare care = SlurmCare::kInUse;
  std::string reason;
};

class Slurm {
 public:
  virtual ~Slurm() = default;
  virtual Submitted submit(const SlurmOrder& order) = 0;
  // Every job that the controller remembers; throws Error(kUnavailable) when it does not answer.
  virtual std::vector<SlurmJob> jobs() = 0;
  virtual std::vector<SlurmNode> nodes() = 0;
  // What is not there any more is no error; a controller that does not answer is asked again later.
  virtual void cancel(const std::vector<int64_t>& ids) = 0;
};

// --- Slurm's words, as 22.05 and later write them with --json ---
std::vector<SlurmJob> read_squeue(const std::string& json);
std::vector<SlurmNode> read_sinfo(const std::string& json);
// How many of one kind a node has: 2 for "gpu" in "gpu:tesla:2(S:0),nic:1".
int32_t gres_count(const std::string& gres, const std::string& kind);
// What `sbatch` says when it does not say a number.
SlurmAnswer read_refusal(const std::string& words);

}  // namespace hearth::forge
