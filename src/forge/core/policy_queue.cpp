// The plain policies: fifo, backfill and srtf. They know no guarantees.
#include <algorithm>

#include "forge/core/policy.h"

namespace hearth::forge {
namespace {

enum class Blocked { kWaits, kIsPassed };

void in_arrival_order(Planner& planner, Blocked blocked) {
  bool open = true;
  for (JobId id : planner.active()) {
    const Job& job = planner.job(id);
    if (!job.target.empty()) continue;
    if (!open) {
      planner.explain(id, Reason::kInOrder);
    } else if (!planner.place(id, job.spec.min_workers)) {
      const bool never = !planner.ever_fits(job);
      planner.explain(id, never ? Reason::kNoSuchPlace : Reason::kNoRoom);
      if (blocked == Blocked::kWaits && !never) open = false;
    }
  }
}

Millis remaining(const Planner& planner, const Job& job) {
  return std::max<Millis>(0, job.spec.expected - job.ran_until(planner.now()));
}

}  // namespace

void plan_fifo(Planner& planner) { in_arrival_order(planner, Blocked::kWaits); }

void plan_backfill(Planner& planner) { in_arrival_order(planner, Blocked::kIsPassed); }

void plan_srtf(Planner& planner) {
  std::vector<JobId> order = planner.active();
  std::stable_sort(order.begin(), order.end(), [&](JobId a, JobId b) {
    return remaining(planner, planner.job(a)) < remaining(planner, planner.job(b));
  });
  for (size_t i = 0; i < order.size(); ++i) {
    const Job& job = planner.job(order[i]);
    if (!job.target.empty() || planner.place(job.id, job.spec.min_workers)) continue;
    if (!planner.ever_fits(job)) {
      planner.explain(job.id, Reason::kNoSuchPlace);
      continue;
    }
    planner.explain(job.id, Reason::kNoRoom);
    // The longest go first, and only where what they lose is less than what the short one gains.
    std::vector<std::pair<JobId, Placement>> evicted;
    std::vector<Why> reasons;
    for (size_t v = order.size(); v-- > i + 1 && job.target.empty();) {
      const Job& victim = planner.job(order[v]);
      if (victim.target.empty() || !planner.fleet().eligible(job.spec, victim.target[0].node))
        continue;
      if (remaining(planner, victim) < remaining(planner, job) + 2 * victim.spec.stop_cost) break;
      evicted.emplace_back(victim.id, victim.target);
      reasons.push_back(victim.why);
      planner.evict(victim.id, Reason::kPreempted, job.id);
      planner.place(job.id, job.spec.min_workers, Reason::kReclaimed);
    }
    // Whoever turns out not to be in the way stays.
    for (size_t v = evicted.size(); v-- > 0;) {
      planner.restore(evicted[v].first, evicted[v].second, reasons[v]);
    }
  }
}

}  // namespace hearth::forge
