// The program of a node: brain and hands (host.h) joined to a server over HTTP. It may be killed at
// any time: what matters is on disk, and the workers have keepers.
//
// Threads: one for the host; one that reads commands, one that sends events, one that ships logs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"

namespace hearth::forge {

struct AgentOptions {
  std::string url;                  // of the server, http://host:port; of several: with commas
  std::string token;                // from its forge.token
  std::string name;                 // of this node; its own among all
  std::string cluster;              // of the server's fleet; empty: the first
  std::string kind;                 // of its devices; empty: the first
  int32_t devices = 1;              // how many
  std::string address;              // where gangs find this node; empty: 127.0.0.1
  std::string state_dir;            // survives restarts; one agent at a time
  std::vector<std::string> keeper;  // the command of a keeper (keeper.h), without the folder
  std::string device_variable;      // say CUDA_VISIBLE_DEVICES; lists a worker's devices
  std::string check;                // a site's own health check: 0 when all is well
  int64_t check_ms = 60'000;        // between two rounds of checks, on the average
  // Where other nodes try the way to this one; 0: a free port; kLinksByAddress: that, where it has
  // an address; -1: nowhere, and it tries none.
  static constexpr int32_t kLinksByAddress = -2;
  int32_t link_port = kLinksByAddress;
  int32_t gpus = -1;          // that there must be; -1: none are looked for
  std::string baselines;      // what such hardware does (baselines.h)
  std::string images;         // of processes; shared by the nodes between which jobs move
  std::string criu = "criu";  // the program, or where it is
  std::string cuda_driver = "libcuda.so.1";  // its library (checkpoint/cuda.h)
  std::vector<std::string> prober;  // the command that tries it; where to write comes behind it
};

class AgentService {
 public:
  AgentService(AgentOptions options, const Clock& clock);
  ~AgentService();

  // Never returns; throws Error when the server refuses this node for good.
  [[noreturn]] void run();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::forge
