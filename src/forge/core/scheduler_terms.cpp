// Deadlines, budgets and deployments: what comes of time passing, and of replicas.
#include <algorithm>
#include <fmt/format.h>

#include "forge/core/scheduler.h"

namespace hearth::forge {

// A job for good: its owner wants it no more, or its budget is used up.
void Scheduler::give_up(JobId id, StopMode mode) {
  Job& job = change(id);
  job.cancelled = true;
  active_.erase(std::lower_bound(active_.begin(), active_.end(), id));
  watched_.erase(id);
  drop_target(job);
  dirty_ = true;
  if (job.state == JobState::kQueued) return finish(job, JobState::kCancelled);
  begin_stop(job, mode);
}

void Scheduler::scale(const Scale& event) {
  if (!job(event.job).active()) return;
  std::vector<JobId> replicas;
  for (JobId id : active_) {
    if (job(id).spec.replica_of == event.job) replicas.push_back(id);
  }
  const auto wanted = static_cast<size_t>(event.replicas - 1);
  JobSpec spec = job(event.job).spec;
  spec.key.clear();
  spec.replica_of = event.job;
  for (size_t have = replicas.size(); have < wanted; ++have) submit(spec);
  std::sort(replicas.begin(), replicas.end(), [&](JobId a, JobId b) {
    return std::pair(!job(a).target.empty(), -a) < std::pair(!job(b).target.empty(), -b);
  });
  for (size_t have = replicas.size(), i = 0; have > wanted; --have, ++i)
    give_up(replicas[i], StopMode::kCheckpoint);
}

void Scheduler::watch() {
  const std::vector<JobId> watched(watched_.begin(), watched_.end());
  for (JobId id : watched) {
    Job& job = jobs_[static_cast<size_t>(id)];
    if (job.spec.budget > 0 && job.device_until(now_) >= job.spec.budget) {
      job.why = {Reason::kOverBudget, -1, now_};
      give_up(id, StopMode::kCheckpoint);
      continue;
    }
    // Whoever waits and has just come into a hurry may rank before others now.
    const Millis from = job.latest_start() - job.hurry();
    if (job.target.empty() && from > planned_at_ && from <= now_) dirty_ = true;
  }
  watch_budgets();
}

Millis Scheduler::device_time(VcId vc) const {
  Millis sum = 0;
  const auto below = [&](VcId v) {
    while (v >= 0 && v != vc) v = spec_.virtual_clusters[static_cast<size_t>(v)].parent;
    return v == vc;
  };
  for (size_t v = 0; v < spent_.size(); ++v) {
    if (below(static_cast<VcId>(v))) sum += spent_[v];
  }
  for (JobId id : active_) {
    if (below(job(id).spec.vc)) sum += job(id).device_until(now_) - job(id).device_ms;
  }
  return sum;
}

bool Scheduler::budget_used_up(VcId vc) const {
  for (; vc >= 0; vc = spec_.virtual_clusters[static_cast<size_t>(vc)].parent) {
    if (static_cast<size_t>(vc) < used_up_.size() && used_up_[static_cast<size_t>(vc)]) return true;
  }
  return false;
}

void Scheduler::watch_budgets() {
  std::vector<bool> used_up(spec_.virtual_clusters.size(), false);
  bool any = false;
  for (size_t v = 0; v < used_up.size(); ++v) {
    const Millis budget = spec_.virtual_clusters[v].budget;
    used_up[v] = budget > 0 && device_time(static_cast<VcId>(v)) >= budget;
    any = any || used_up[v];
  }
  dirty_ = dirty_ || (used_up != used_up_ && !used_up_.empty());
  used_up_ = std::move(used_up);
  if (!any) return;
  std::vector<JobId> stopped;
  for (JobId id : active_) {
    Job& job = jobs_[static_cast<size_t>(id)];
    if (!budget_used_up(job.spec.vc)) continue;
    if (!job.target.empty()) {
      stopped.push_back(id);
    } else if (job.why.reason != Reason::kOverBudget) {
      job.why = {Reason::kOverBudget, -1, now_};
    }
  }
  if (stopped.empty()) return;
  with_planner([&](Planner& planner) {
    for (JobId id : stopped) planner.evict(id, Reason::kOverBudget);
  });
  dirty_ = true;
}

}  // namespace hearth::forge
