// hearth train --ranks N: the ranks of a run as processes of this machine, and who watches them.
#pragma once

#include <functional>
#include <vector>

namespace hearth::apps {

struct LocalRank {
  int rank = 0;
  int size = 1;
  std::vector<int> sockets;  // for train::SocketWire
};

struct LocalRanksOptions {
  int ranks = 1;     // processes
  int restarts = 0;  // after a rank was lost: how often all are started again
};

// Forks the ranks, which call `body` and exit with what it returns (apps/exit_codes.h). Passes
// SIGINT and SIGTERM on, names a rank that a signal killed, ends the others then, and returns the
// exit code of the run. To be called before there are other threads.
int run_local_ranks(const LocalRanksOptions& options,
                    const std::function<int(const LocalRank&)>& body);

}  // namespace hearth::apps
