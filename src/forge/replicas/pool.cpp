#include "forge/replicas/pool.h"

namespace hearth::forge {

void ReplicaPool::update(std::vector<Replica> seen) {
  const std::lock_guard lock(mutex_);
  std::map<JobId, Replica> next;
  for (Replica& replica : seen) {
    const auto known = replicas_.find(replica.job);
    if (known != replicas_.end()) replica.ours = known->second.ours;
    next[replica.job] = std::move(replica);
  }
  replicas_ = std::move(next);
}

void ReplicaPool::distrust(JobId job) {
  const std::lock_guard lock(mutex_);
  const auto found = replicas_.find(job);
  if (found != replicas_.end()) found->second.ready = false;
}

JobId ReplicaPool::take(const std::set<JobId>& tried, std::string& url) {
  const std::lock_guard lock(mutex_);
  Replica* best = nullptr;
  for (auto& [job, replica] : replicas_) {
    if (!replica.ready || tried.contains(job)) continue;
    if (!best || replica.ours < best->ours) best = &replica;
  }
  if (!best) return -1;
  ++best->ours;
  url = best->url;
  return best->job;
}

void ReplicaPool::give_back(JobId job) {
  const std::lock_guard lock(mutex_);
  const auto found = replicas_.find(job);
  if (found != replicas_.end() && found->second.ours > 0) --found->second.ours;
}

std::vector<Replica> ReplicaPool::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<Replica> out;
  for (const auto& [job, replica] : replicas_) out.push_back(replica);
  return out;
}

}  // namespace hearth::forge
