// The agent of a whole region that belongs to a Slurm controller: for the server each of its nodes
// has an agent like any other, here they are all one program on a login node. Forge holds the queue
// and gives Slurm only what starts now.
//
// Threads: one for the nodes' brains; one that reads commands, one that sends events, one that
// ships logs, one that speaks to Slurm.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "forge/slurm/commands.h"

namespace hearth::forge {

struct SlurmBridgeOptions {
  std::string url;                  // of the server; of several: with commas
  std::string token;                // from its forge.token
  std::string cluster;              // of the server's fleet; empty: the first
  std::string kind;                 // of its devices; empty: the first
  std::string gres;                 // a kind of GRES whose pieces are the devices; empty: cores
  int32_t cores = 1;                // that make a device, where there is no GRES
  std::string state_dir;            // on a file system that the nodes see too; one bridge at a time
  std::vector<std::string> keeper;  // the command of a keeper on a node, without the folder
  int64_t start_ms = 60'000;        // so long a job may wait in Slurm's queue
  SlurmCommandOptions slurm{};      // how to speak to the controller
};

class SlurmBridge {
 public:
  SlurmBridge(SlurmBridgeOptions options, const Clock& clock);
  ~SlurmBridge();

  // Never returns; throws Error when the server refuses a node for good.
  [[noreturn]] void run();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::forge
