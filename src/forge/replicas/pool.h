// The replicas of a deployment as a router knows them: who is ready, and how much each has to do.
// Thread-safe.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "forge/core/types.h"

namespace hearth::forge {

struct Replica {
  JobId job = -1;
  std::string url;  // http://host:port
  bool ready = false;
  int64_t running = 0;  // by its own word
  int64_t waiting = 0;
  double ptu = 0;    // its capacity; 0: not known
  int32_t ours = 0;  // requests of this router that it has now
};

class ReplicaPool {
 public:
  // What was just seen of all of them; those that are not in it are gone.
  void update(std::vector<Replica> seen);
  // It refused or broke: nothing goes there until it is seen to be ready again.
  void distrust(JobId job);

  // The ready one with the fewest requests, none of `tried`; it has one more now. -1: there is
  // none.
  JobId take(const std::set<JobId>& tried, std::string& url);
  void give_back(JobId job);

  std::vector<Replica> list() const;

 private:
  mutable std::mutex mutex_;
  std::map<JobId, Replica> replicas_;
};

}  // namespace hearth::forge
