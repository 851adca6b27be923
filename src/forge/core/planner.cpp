#include "forge/core/planner.h"

#include <algorithm>

#include "base/check.h"

namespace hearth::forge {

Placement shrunk(Placement slots, int32_t workers) {
  std::map<NodeId, int32_t> count;
  for (const Slot& slot : slots) ++count[slot.node];
  std::stable_sort(slots.begin(), slots.end(),
                   [&](const Slot& a, const Slot& b) { return count[a.node] > count[b.node]; });
  slots.resize(static_cast<size_t>(workers));
  std::sort(slots.begin(), slots.end());
  return slots;
}

void Planner::set(Job& job, Placement slots, Reason reason, JobId other) {
  const int gained = static_cast<int>(job.target.empty()) - static_cast<int>(slots.empty());
  if (gained != 0) claims_.charge(job.spec.vc, gained * job.need_milli());
  job.target = std::move(slots);
  job.why = {reason, other, now_};
  if (reason == Reason::kPreempted || reason == Reason::kShrunk) job.moved = job.why;
  roster_.moved(job);
  touched_.push_back(job.id);
}

bool Planner::full(JobId id) const {
  const Shape& shape = roster_.shape(roster_.brief(id));
  return fleet_.last_freed(shape.pools) <= shape.full_at;
}

bool Planner::place(JobId id, int32_t workers, Reason reason, KindId kind) {
  Job& job = mutable_job(id);
  CHECK(job.target.empty() && job.active(), "job {} has a place or is over", id);
  CHECK(workers >= job.spec.min_workers && workers <= job.spec.max_workers,
        "job {} takes {} to {} workers, not {}", id, job.spec.min_workers, job.spec.max_workers,
        workers);
  Shape& shape = roster_.shape(roster_.brief(id));
  const bool usual = kind < 0 && workers == job.spec.min_workers;
  if (usual && full(id)) return false;
  std::optional<Placement> found = fleet_.find(job.spec, workers, kind);
  if (!found) {
    if (usual) shape.full_at = fleet_.freed_now();
    return false;
  }
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

void Planner::shrink(JobId id, int32_t workers, JobId other, Reason reason) {
  Job& job = mutable_job(id);
  CHECK(workers >= job.spec.min_workers, "job {} needs {} workers", id, job.spec.min_workers);
  if (job.workers() <= workers) return;
  Placement kept = shrunk(job.target, workers);
  fleet_.release(job.target);
  fleet_.take(kept);
  set(job, std::move(kept), reason, other);
}

// Closed while new places are looked for, so that nobody's new place is the old one.
bool Planner::clear(NodeId node, const std::vector<JobId>& movers, JobId other) {
  std::vector<Placement> found;
  fleet_.set_open(node, false);
  for (JobId id : movers) {
    std::optional<Placement> place = fleet_.find(job(id).spec, job(id).workers());
    if (!place) break;
    fleet_.take(*place);
    found.push_back(std::move(*place));
  }
  fleet_.set_open(node, true);
  if (found.size() < movers.size()) {
    for (const Placement& place : found) fleet_.release(place);
    return false;
  }
  for (size_t i = 0; i < movers.size(); ++i) {
    fleet_.release(job(movers[i]).target);
    set(mutable_job(movers[i]), std::move(found[i]), Reason::kMigrated, other);
  }
  return true;
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
  return roster_.shape(roster_.brief(job.id)).possible;
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
