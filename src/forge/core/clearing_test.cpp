#include "forge/core/clearing.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace hearth::forge {
namespace {

// Two nodes with four devices each, and jobs where a test puts them.
class ClearingHouse {
 public:
  ClearingHouse() : fleet(spec()), claims(fleet.spec()), roster(fleet) {
    for (NodeId n = 0; n < 2; ++n) fleet.set_present(n, true);
  }
  static const FleetSpec& spec() {
    static const FleetSpec fleet{
        .kinds = {{"gpu", 80, 400}},
        .regions = {{"north", 40}},
        .clusters = {{"main", 0}},
        .nodes = {{"n0", 0, 0, 4, ""}, {"n1", 0, 0, 4, ""}},
        .virtual_clusters = {{"all", -1, 8}},
    };
    return fleet;
  }
  JobId add(JobSpec spec, Placement place) {
    const auto id = static_cast<JobId>(jobs.size());
    jobs.push_back({.id = id, .spec = std::move(spec), .target = std::move(place)});
    active.push_back(id);
    fleet.take(jobs.back().target);
    roster.refresh(jobs.back());
    return id;
  }
  Planner planner() { return {0, {jobs, active, fleet, claims, roster, touched}}; }

  Fleet fleet;
  Quota claims;
  Roster roster;
  std::vector<Job> jobs;
  std::vector<JobId> active, touched;
};

JobSpec wants(int32_t workers, Locality locality, int32_t share = kWholeDevice) {
  JobSpec spec;
  spec.min_workers = spec.max_workers = workers;
  spec.locality = locality;
  spec.share_milli = share;
  return spec;
}

std::vector<JobId> leave_for(ClearingHouse& house, const JobSpec& spec,
                             const std::vector<Leaver>& offers) {
  const JobId taker = house.add(spec, {});
  const Planner planner = house.planner();
  Clearing clearing(planner);
  for (const Leaver& leaver : offers) clearing.offer(leaver);
  std::vector<JobId> out;
  for (const Leaver& leaver :
       clearing.room_for(spec, house.roster.shape(house.roster.brief(taker))))
    out.push_back(leaver.id);
  std::sort(out.begin(), out.end());
  return out;
}

TEST(Clearing, AsksTheCheapestThatMakeOnePlaceTogether) {
  ClearingHouse house;
  for (NodeId n = 0; n < 2; ++n) {
    house.add(wants(2, Locality::kAny), {{n, 0}, {n, 1}});
    house.add(wants(2, Locality::kAny), {{n, 2}, {n, 3}});
  }
  const std::vector<Leaver> offers = {{0, 10, 0, 0}, {0, 90, 1, 0}, {0, 20, 2, 0}, {0, 30, 3, 0}};
  // Anywhere the two cheapest do; on one node the cheap job of the other node is not in the way.
  EXPECT_EQ(leave_for(house, wants(4, Locality::kAny), offers), (std::vector<JobId>{0, 2}));
  EXPECT_EQ(leave_for(house, wants(4, Locality::kNode), offers), (std::vector<JobId>{2, 3}));
}

TEST(Clearing, AsksNobodyWhenAllTogetherAreNotEnough) {
  ClearingHouse house;
  for (NodeId n = 0; n < 2; ++n)
    house.add(wants(4, Locality::kAny), {{n, 0}, {n, 1}, {n, 2}, {n, 3}});
  EXPECT_TRUE(leave_for(house, wants(5, Locality::kNode), {{0, 1, 0, 0}, {0, 1, 1, 0}}).empty());
  EXPECT_TRUE(leave_for(house, wants(5, Locality::kAny), {{0, 1, 0, 0}}).empty());
  EXPECT_EQ(leave_for(house, wants(5, Locality::kAny), {{0, 1, 0, 0}, {0, 1, 1, 0}}),
            (std::vector<JobId>{0, 1}));
}

TEST(Clearing, CountsPartsOfOneDeviceTogether) {
  ClearingHouse house;
  for (int32_t d = 0; d < 4; ++d) {
    for (NodeId n = 0; n < 2; ++n) {
      house.add(wants(1, Locality::kAny, 600), {{n, d, 600}});
      house.add(wants(1, Locality::kAny, 400), {{n, d, 400}});
    }
  }
  std::vector<Leaver> offers;
  for (JobId id = 0; id < 16; ++id) offers.push_back({0, id, id, 0});
  // A whole device needs both of one; half a device needs the larger alone.
  EXPECT_EQ(leave_for(house, wants(1, Locality::kAny), offers), (std::vector<JobId>{0, 1}));
  EXPECT_EQ(leave_for(house, wants(1, Locality::kNode, 500), offers), (std::vector<JobId>{0}));
}

TEST(Clearing, TakesExtraWorkersBeforeWholeJobs) {
  ClearingHouse house;
  JobSpec elastic = wants(1, Locality::kAny);
  elastic.max_workers = 4;
  for (NodeId n = 0; n < 2; ++n) house.add(elastic, {{n, 0}, {n, 1}, {n, 2}, {n, 3}});
  const std::vector<Leaver> offers = {{0, 9, 0, 1}, {0, 5, 1, 1}, {1, 9, 0, 0}, {1, 5, 1, 0}};
  EXPECT_EQ(leave_for(house, wants(3, Locality::kNode), offers), (std::vector<JobId>{1}));
  EXPECT_EQ(leave_for(house, wants(4, Locality::kNode), offers), (std::vector<JobId>{1, 1}));
}

}  // namespace
}  // namespace hearth::forge
