#include "forge/core/planner.h"

#include <algorithm>

#include "base/check.h"

namespace hearth::forge {

void Planner::set(Job& job, Placement slots, Reason reason, JobId other) {
  job.target = std::move(slots);
  job.why = {reason, other, now_};
  if (reason == Reason::kPreempted || reason == Reason::kShrunk) job.moved = job.why;
  touched_.push_back(job.id);
}

bool Planner::place(JobId id, int32_t workers, Reason reason, KindId kind) {
  Job& job = mutable_job(id);
  CHECK(job.target.empty() && job.active(), "job {} has a place or is over", id);
  CHECK(workers >= job.spec.min_workers && workers <= job.spec.max_workers,
        "job {} takes {} to {} workers, not {}", id, job.spec.min_workers, job.spec.max_workers,
        workers);
  std::optional<Placement> found = fleet_.find(job.spec, workers, kind);
  if (!found) return false;
  fleet_.take(*found);
  set(job, std::move(*found), reason, -1);
  return true;
}

bool Planner::replace(JobId id, int32_t workers, Reason reason, KindId kind, JobId other) {
  Job& job = mutable_job(id);
  fleet_.release(job.target);
  std::optional<Placement> found = fleet_.find(job.spec, workers, kind);
  if (!found || *found == job.target) {
    fleet_.take(job.target);
    return false;
  }
  fleet_.take(*found);
  set(job, std::move(*found), reason, other);
  return true;
}

void Planner::shrink(JobId id, int32_t workers, JobId other) {
  Job& job = mutable_job(id);
  CHECK(workers >= job.spec.min_workers, "job {} needs {} workers", id, job.spec.min_workers);
  if (job.workers() <= workers) return;
  // Nodes on which the job has many workers stay whole.
  std::map<NodeId, int32_t> count;
  for (const Slot& slot : job.target) ++count[slot.node];
  Placement kept = job.target;
  std::stable_sort(kept.begin(), kept.end(),
                   [&](const Slot& a, const Slot& b) { return count[a.node] > count[b.node]; });
  kept.resize(static_cast<size_t>(workers));
  std::sort(kept.begin(), kept.end());
  fleet_.release(job.target);
  fleet_.take(kept);
  set(job, std::move(kept), Reason::kShrunk, other);
}

void Planner::evict(JobId id, Reason reason, JobId other) {
  Job& job = mutable_job(id);
  fleet_.release(job.target);
  set(job, {}, reason, other);
}

bool Planner::restore(JobId id, const Placement& slots, const Why& why) {
  Job& job = mutable_job(id);
  fleet_.release(job.target);
  if (!fleet_.fits(slots)) {
    fleet_.take(job.target);
    return false;
  }
  fleet_.take(slots);
  set(job, slots, why.reason, why.other);
  job.why = why;
  job.moved = {};
  return true;
}

void Planner::explain(JobId id, Reason reason, JobId other) {
  Job& job = mutable_job(id);
  if (job.why.reason == reason && job.why.other == other) return;
  job.why = {reason, other, now_};
}

bool Planner::ever_fits(const Job& job) const {
  std::map<std::pair<ClusterId, KindId>, int32_t> by_pool;
  std::map<std::pair<RegionId, KindId>, int32_t> by_region;
  std::map<KindId, int32_t> by_kind;
  int32_t largest_node = 0;
  for (size_t i = 0; i < spec().nodes.size(); ++i) {
    const Node& node = spec().nodes[i];
    if (!fleet_.eligible(job.spec, static_cast<NodeId>(i))) continue;
    largest_node = std::max(largest_node, node.devices);
    by_pool[{node.cluster, node.kind}] += node.devices;
    by_region[{spec().clusters[static_cast<size_t>(node.cluster)].region, node.kind}] +=
        node.devices;
    by_kind[node.kind] += node.devices;
  }
  const auto most = [](const auto& counts) {
    int32_t best = 0;
    for (const auto& [key, count] : counts) best = std::max(best, count);
    return best;
  };
  const int32_t need = job.spec.min_workers;
  if (job.spec.locality == Locality::kNode) return need <= largest_node;
  // Parts of devices are only looked for within one cluster.
  const bool one_pool = job.spec.share_milli < kWholeDevice;
  if (one_pool || job.spec.locality == Locality::kCluster) return need <= most(by_pool);
  return need <= (job.spec.locality == Locality::kRegion ? most(by_region) : most(by_kind));
}

bool Planner::draining(JobId id) const {
  const Job& j = job(id);
  return std::any_of(j.target.begin(), j.target.end(),
                     [&](const Slot& slot) { return !fleet_.open(slot.node); });
}

KindId Planner::kind_of(const Job& job) const {
  return job.target.empty() ? -1 : spec().nodes[static_cast<size_t>(job.target[0].node)].kind;
}

}  // namespace hearth::forge
