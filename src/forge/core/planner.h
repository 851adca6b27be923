// What a policy sees and may do. Every operation keeps the planned fleet and the jobs' targets in
// step, so that no policy, however wrong, can give a device twice or break a residency; the
// scheduler then makes the targets come true.
#pragma once

#include <vector>

#include "forge/core/fleet.h"
#include "forge/core/job.h"
#include "forge/core/quota.h"
#include "forge/core/roster.h"

namespace hearth::forge {

// What is left of a placement that is cut down: nodes on which the job has many workers stay whole.
Placement shrunk(Placement slots, int32_t workers);

class Planner {
 public:
  // Of the scheduler. `touched` collects the jobs whose targets move.
  struct State {
    std::vector<Job>& jobs;
    const std::vector<JobId>& active;
    Fleet& fleet;
    Quota& claims;
    Roster& roster;
    std::vector<JobId>& touched;
  };
  Planner(Millis now, const State& state)
      : now_(now),
        jobs_(state.jobs),
        active_(state.active),
        fleet_(state.fleet),
        claims_(state.claims),
        roster_(state.roster),
        touched_(state.touched) {}

  Millis now() const { return now_; }
  const std::vector<JobId>& active() const { return active_; }  // by submission
  const Job& job(JobId id) const { return jobs_[static_cast<size_t>(id)]; }
  // The same in brief, which follows every operation below.
  const Brief& brief(JobId id) const { return roster_.brief(id); }
  Roster& roster() { return roster_; }
  const FleetSpec& spec() const { return fleet_.spec(); }
  const Fleet& fleet() const { return fleet_; }
  // What the jobs that have a place need at least.
  const Quota& claims() const { return claims_; }

  // Is it known that no place for the job, with its fewest workers, is free?
  bool full(JobId id) const;
  // Puts a job without a place on free devices. kind -1: any that it takes.
  bool place(JobId id, int32_t workers, Reason reason = Reason::kBestFit, KindId kind = -1);
  // Moves a job with a place to another size or kind. Where that does not fit, nothing changes.
  bool replace(JobId id, int32_t workers, Reason reason, KindId kind = -1, JobId other = -1);
  // Gives up the workers above `workers`; the rest stay where they are.
  void shrink(JobId id, int32_t workers, JobId other, Reason reason = Reason::kShrunk);
  // Moves all these jobs off the node, on behalf of `other`, or none of them.
  bool clear(NodeId node, const std::vector<JobId>& movers, JobId other);
  // Takes a place away; the job waits.
  void evict(JobId id, Reason reason, JobId other = -1);
  // Puts a job back to exactly where it was, if that is still free.
  bool restore(JobId id, const Placement& slots, const Why& why);
  void explain(JobId id, Reason reason, JobId other = -1);

  // Could the fleet hold the job if it were empty?
  bool ever_fits(const Job& job) const;
  bool draining(JobId id) const;
  KindId kind_of(const Job& job) const;

 private:
  void set(Job& job, Placement slots, Reason reason, JobId other);
  Job& mutable_job(JobId id) { return jobs_[static_cast<size_t>(id)]; }

  Millis now_;
  std::vector<Job>& jobs_;
  const std::vector<JobId>& active_;
  Fleet& fleet_;
  Quota& claims_;
  Roster& roster_;
  std::vector<JobId>& touched_;
};

}  // namespace hearth::forge
