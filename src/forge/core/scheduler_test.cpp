#include "forge/core/scheduler.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "forge/core/agent.h"
#include "forge/core/explain.h"

namespace hearth::forge {
namespace {

using testing::HasSubstr;

// One cluster of `nodes` nodes with four devices; two virtual clusters share it by halves.
FleetSpec small_fleet(int32_t nodes) {
  FleetSpec fleet;
  fleet.kinds = {{"gpu", 80, 400}};
  fleet.regions = {{"north", 40}, {"south", 300}};
  fleet.clusters = {{"main", 0}};
  for (int32_t n = 0; n < nodes; ++n) fleet.nodes.push_back({fmt::format("n{}", n), 0, 0, 4});
  fleet.virtual_clusters = {{"a", -1, nodes * 2}, {"b", -1, nodes * 2}};
  return fleet;
}

JobSpec job_of(VcId vc, int32_t workers) {
  JobSpec spec;
  spec.vc = vc;
  spec.min_workers = spec.max_workers = workers;
  return spec;
}

// The scheduler with agents that hear everything at once.
class House {
 public:
  House(int32_t nodes, const char* policy) : scheduler(small_fleet(nodes), policy_named(policy)) {
    for (NodeId n = 0; n < nodes; ++n) agents.emplace_back(n, 1, LeaseTerms{});
    advance(0);
    advance(1);
  }
  void advance(Millis to) {
    now = to;
    for (Agent& agent : agents) {
      std::vector<Event> out;
      agent.advance(now, out);
      for (const Event& event : out) apply(event);
    }
    apply(Tick{});
  }
  void apply(const Event& event) {
    std::vector<Command> commands;
    scheduler.apply(now, event, commands);
    for (const Command& command : commands) {
      const NodeId node = std::visit([](const auto& c) { return c.node; }, command);
      std::vector<Event> out;
      agents[static_cast<size_t>(node)].receive(now, command, out);
      for (const Event& answer : out) apply(answer);
    }
  }
  JobState state(JobId job) const { return scheduler.job(job).state; }

  Scheduler scheduler;
  std::vector<Agent> agents;
  Millis now = 0;
};

TEST(Scheduler, RunsAJobAndEndsIt) {
  House house(2, "hearth");
  house.apply(Submit{job_of(0, 3)});
  EXPECT_EQ(house.state(0), JobState::kRunning);
  std::vector<Event> out;
  for (Agent& agent : house.agents) agent.exited(0, Outcome::kSucceeded, out);
  for (const Event& event : out) house.apply(event);
  EXPECT_EQ(house.state(0), JobState::kSucceeded);
  EXPECT_EQ(house.scheduler.actual().free_milli(), 8 * kWholeDevice);
}

TEST(Scheduler, TakesBackWhatWasBorrowedAndSaysSo) {
  House house(2, "hearth");
  for (int i = 0; i < 2; ++i) house.apply(Submit{job_of(0, 4)});
  EXPECT_EQ(house.state(1), JobState::kRunning);
  house.apply(Submit{job_of(1, 4)});
  EXPECT_EQ(house.state(2), JobState::kRunning);
  EXPECT_EQ(house.state(0) == JobState::kRunning, house.state(1) == JobState::kQueued);
  const JobId loser = house.state(0) == JobState::kQueued ? 0 : 1;
  EXPECT_THAT(explain(house.scheduler, loser).text(),
              HasSubstr("job 2 (standard, b) took its place"));
  EXPECT_THAT(explain(house.scheduler, 2).sentence, HasSubstr("others gave these devices back"));
}

TEST(Scheduler, ExplainsAResidencyThatNothingMeets) {
  House house(1, "hearth");
  JobSpec spec = job_of(0, 1);
  spec.regions = {1};
  house.apply(Submit{spec});
  const Explanation why = explain(house.scheduler, 0);
  EXPECT_THAT(why.sentence, HasSubstr("loosen its constraints"));
  ASSERT_EQ(why.pools.size(), 1U);
  EXPECT_EQ(why.pools[0].verdict, "residency");
}

TEST(Scheduler, FifoWaitsWhereBackfillPasses) {
  for (const auto& [policy, state] :
       {std::pair("fifo", JobState::kQueued), {"backfill", JobState::kRunning}}) {
    House house(1, policy);
    house.apply(Submit{job_of(0, 3)});
    house.apply(Submit{job_of(0, 4)});
    house.apply(Submit{job_of(0, 1)});
    EXPECT_EQ(house.state(2), state) << policy;
  }
}

TEST(Scheduler, ResumesElsewhereWhenANodeFallsSilent) {
  House house(2, "hearth");
  house.apply(Submit{job_of(0, 4)});
  const NodeId node = house.scheduler.job(0).placed[0].node;
  const Agent silent = house.agents[static_cast<size_t>(node)];
  for (Millis t = 5'000; t <= 40'000; t += 5'000) {
    house.advance(t);
    house.agents[static_cast<size_t>(node)] = silent;
  }
  EXPECT_EQ(house.state(0), JobState::kRunning);
}

TEST(Agent, NeverStartsAnEpochThatWasStopped) {
  Agent agent(0, 1, {});
  std::vector<Event> out;
  agent.receive(0, Lease{0, 1, 0}, out);
  agent.receive(1, Stop{0, 1, 5, 2, StopMode::kCheckpoint}, out);
  agent.receive(2, Start{0, 1, 5, 2, {{0, 0, kWholeDevice}}}, out);
  EXPECT_TRUE(agent.running().empty());
  agent.receive(3, Start{0, 1, 5, 3, {{0, 0, kWholeDevice}}}, out);
  EXPECT_EQ(agent.running().size(), 1U);
}

TEST(Agent, KillsEverythingWhenItsLeaseRunsOut) {
  Agent agent(0, 1, {});
  std::vector<Event> out;
  agent.receive(0, Lease{0, 1, 0}, out);
  agent.receive(0, Start{0, 1, 5, 1, {{0, 0, kWholeDevice}}}, out);
  agent.advance(29'999, out);
  EXPECT_EQ(agent.running().size(), 1U);
  agent.advance(30'000, out);
  EXPECT_TRUE(agent.running().empty());
  EXPECT_EQ(agent.incarnation(), 2);
}

TEST(Fleet, KeepsLargeHolesLarge) {
  const FleetSpec spec = small_fleet(2);
  Fleet fleet(spec);
  fleet.set_present(0, true);
  fleet.set_present(1, true);
  fleet.take(*fleet.find(job_of(0, 1), 1));
  fleet.take(*fleet.find(job_of(0, 1), 1));
  EXPECT_EQ(std::max(fleet.free_devices(0), fleet.free_devices(1)), 4);
  JobSpec part = job_of(0, 1);
  part.share_milli = 500;
  const Placement first = *fleet.find(part, 1);
  fleet.take(first);
  EXPECT_EQ(*fleet.find(part, 1), first);
}

}  // namespace
}  // namespace hearth::forge
