// What a policy sees and may do. Every operation keeps the planned fleet and the jobs' targets in
// step, so that no policy, however wrong, can give a device twice or break a residency; the
// scheduler then makes the targets come true.
#pragma once

#include <vector>

#include "forge/core/fleet.h"
#include "forge/core/job.h"
#include "forge/core/quota.h"

namespace hearth::forge {

class Planner {
 public:
  Planner(Millis now, std::vector<Job>& jobs, const std::vector<JobId>& active, Fleet& fleet,
          Quota& claims, std::vector<JobId>& touched)
      : now_(now),
        jobs_(jobs),
        active_(active),
        fleet_(fleet),
        claims_(claims),
        touched_(touched) {}

  Millis now() const { return now_; }
  const std::vector<JobId>& active() const { return active_; }  // by submission
  const Job& job(JobId id) const { return jobs_[static_cast<size_t>(id)]; }
  const FleetSpec& spec() const { return fleet_.spec(); }
  const Fleet& fleet() const { return fleet_; }
  // What the jobs that have a place need at least.
  const Quota& claims() const { return claims_; }

  // Puts a job without a place on free devices. kind -1: any that it takes.
  bool place(JobId id, int32_t workers, Reason reason = Reason::kBestFit, KindId kind = -1);
  // Moves a job with a place to another size or kind. Where that does not fit, nothing changes.
  bool replace(JobId id, int32_t workers, Reason reason, KindId kind = -1, JobId other = -1);
  // Gives up the workers above `workers`; the rest stay where they are.
  void shrink(JobId id, int32_t workers, JobId other, Reason reason = Reason::kShrunk);
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
  std::vector<JobId>& touched_;
};

}  // namespace hearth::forge
