// The keeper of one run: starts the workers in sessions of their own, keeps their logs, passes on a
// request to stop (SIGTERM: save and stop; SIGINT: die), kills them when the fence passes, and
// writes down how it all ended once nothing of it is alive. It is a process of its own, so the
// agent may come and go. Single-threaded.
#pragma once

#include <cstdint>
#include <string>

namespace hearth::forge {

// Where its agent is. Elsewhere, the fence is a time of the wall clock, and requests to stop come
// as a file (slurm/executor.h).
enum class KeeperPlace { kHere, kElsewhere };

struct KeeperTerms {
  KeeperPlace place = KeeperPlace::kHere;
  std::string devices;  // numbers, where whoever started the keeper gave others than the order's
  int64_t log_bytes_max = int64_t{64} << 20;  // of one process; more is counted and dropped
};

// The whole life of a keeper; returns its exit status. To be called first thing in a process.
int keep_run(const std::string& folder, const KeeperTerms& terms = {});

}  // namespace hearth::forge
