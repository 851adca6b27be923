// What every plan reads of each active job, small and side by side: a plan goes through 30,000 of
// them in a millisecond, where the jobs themselves would come from all over the memory. Owned by
// the scheduler; follows from the jobs and the fleet, so no image keeps it.
#pragma once

#include <map>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "forge/core/fleet.h"
#include "forge/core/job.h"

namespace hearth::forge {

struct Brief {
  JobId id = -1;
  VcId vc = 0;
  int32_t shape = -1;
  int32_t workers = 0;  // of the target; 0: it waits
  int32_t min_workers = 1;
  int32_t max_workers = 1;
  int32_t share_milli = kWholeDevice;
  NodeId node = -1;  // of the whole target; -1: of several, or none
  Tier tier = Tier::kStandard;
  bool active = false;
  bool has_rates = false;
  Millis stop_cost = 0;
  bool loses_work = false;  // stopped, it begins again
  Millis changed_at = 0;
  bool running = false;
  Millis latest_start = Job::kNoDeadline;
  Millis hurry = 0;

  bool waits() const { return workers == 0; }
  int64_t need_milli() const { return int64_t{min_workers} * share_milli; }
  bool has_deadline() const { return latest_start != Job::kNoDeadline; }
  // Near the last moment at which it can start and still meet its deadline.
  bool urgent(Millis now) const {
    const Millis slack = latest_start - (running ? changed_at : now);
    return has_deadline() && slack <= hurry && slack >= -hurry;
  }
  // What it holds above its fewest workers.
  int32_t extra() const { return workers - min_workers; }
};

// All that decides where a job may be and how much it takes. Jobs of one shape find a place, or
// find none, together; what was learnt of one holds for the next.
struct Shape {
  std::vector<int32_t> pools;  // eligible ones
  bool possible = false;       // in an empty fleet
  // No place was free when the fleet's count of what comes free stood here; 0: nobody has looked.
  uint64_t full_at = 0;
  // The same for making room by moving smaller jobs.
  uint64_t packed_at = 0;
};

class Roster {
 public:
  explicit Roster(const Fleet& fleet) : fleet_(&fleet) {}

  // Something about the job has changed, or it is new.
  void refresh(const Job& job);
  // Only its target has.
  void moved(const Job& job);
  // Pools came or changed: every shape is looked at anew when its jobs are refreshed.
  void forget_shapes();
  bool too_many_shapes() const { return shapes_.size() > kShapesMax; }

  const Brief& brief(JobId id) const { return briefs_[static_cast<size_t>(id)]; }
  Shape& shape(const Brief& brief) { return shapes_[static_cast<size_t>(brief.shape)]; }
  size_t shapes() const { return shapes_.size(); }
  // Jobs other than this one that ask for the same on the same account, and wait.
  bool like_it_wait(JobId id) const;

 private:
  // Beyond this the shapes of jobs that are long over are dropped.
  static constexpr size_t kShapesMax = 20'000;
  using Key = std::tuple<int32_t, int32_t, int32_t, Locality, Spot, std::vector<RegionId>,
                         std::vector<KindId>, std::vector<ClusterId>>;
  using Account = std::tuple<int32_t, VcId, Tier>;
  static Account account_of(const Brief& b) { return {b.shape, b.vc, b.tier}; }

  int32_t shape_of(const JobSpec& spec);
  void count(const Brief& brief, int32_t by);
  void put(Brief& brief, const Job& job);

  const Fleet* fleet_;
  std::vector<Brief> briefs_;  // by job
  std::vector<Shape> shapes_;
  std::map<Key, int32_t> known_;
  std::map<Account, int32_t> waiting_;
};

}  // namespace hearth::forge
