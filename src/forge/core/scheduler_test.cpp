#include "forge/core/scheduler.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/error.h"
#include "forge/core/agent.h"
#include "forge/core/explain.h"
#include "forge/core/test_jobs.h"

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

// The scheduler with agents that hear everything at once and whose workers stop at once.
class House {
 public:
  House(int32_t nodes, const char* policy) : scheduler(small_fleet(nodes), policy_named(policy)) {
    for (NodeId n = 0; n < nodes; ++n) agents.emplace_back(n, 1, LeaseTerms{});
    advance(0);
    advance(1);
  }
  void advance(Millis to) {
    now = to;
    for (NodeId n = 0; n < static_cast<NodeId>(agents.size()); ++n) {
      AgentOutput out;
      if (n != silent) agents[static_cast<size_t>(n)].advance(now, out);
      obey(agents[static_cast<size_t>(n)], std::move(out));
    }
    std::vector<Event> events;
    scheduler.expired(now, events);
    events.emplace_back(Tick{});
    for (const Event& event : events) apply(event);
  }
  void apply(const Event& event) {
    std::vector<Command> commands;
    scheduler.apply(now, event, commands);
    for (const Command& command : commands) {
      const NodeId node = std::visit([](const auto& c) { return c.node; }, command);
      AgentOutput out;
      if (node != silent) agents[static_cast<size_t>(node)].receive(now, command, out);
      obey(agents[static_cast<size_t>(node)], std::move(out));
    }
  }
  void obey(Agent& agent, AgentOutput out) {
    for (size_t i = 0; i < out.actions.size(); ++i) {
      const auto* halt = std::get_if<Halt>(&out.actions[i]);
      if (halt) agent.exited(halt->job, halt->epoch, Outcome::kSaved, {}, out);
    }
    for (const Event& event : out.events) apply(event);
  }
  JobState state(JobId job) const { return scheduler.job(job).state; }

  Scheduler scheduler;
  std::vector<Agent> agents;
  Millis now = 0;
  NodeId silent = -1;
};

TEST(Scheduler, RunsAJobAndEndsIt) {
  House house(2, "hearth");
  house.apply(Submit{job_of(0, 3)});
  EXPECT_EQ(house.state(0), JobState::kRunning);
  for (Agent& agent : house.agents) {
    AgentOutput out;
    agent.exited(0, 1, Outcome::kSucceeded, {}, out);
    house.obey(agent, out);
  }
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
  house.silent = house.scheduler.job(0).placed[0].node;
  for (Millis t = 5'000; t < 30'000; t += 5'000) house.advance(t);
  EXPECT_EQ(house.scheduler.job(0).epoch, 1);
  house.advance(30'001);
  EXPECT_EQ(house.state(0), JobState::kRunning);
  EXPECT_EQ(house.scheduler.job(0).epoch, 2);
  EXPECT_NE(house.scheduler.job(0).placed[0].node, house.silent);
}

TEST(Scheduler, AHeartbeatInTheLastMomentSavesTheNode) {
  House house(1, "hearth");
  std::vector<Event> events;
  house.scheduler.expired(100'000, events);
  ASSERT_EQ(events.size(), 1U);
  events.insert(events.begin(), Heartbeat{0, 1, 99'999});
  std::vector<Command> said;
  house.scheduler.apply(100'000, events, said);
  EXPECT_TRUE(house.scheduler.node_image(0).up);
}

TEST(Scheduler, AnImageGivesTheSameSchedulerAgain) {
  House house(2, "hearth");
  for (int i = 0; i < 4; ++i) house.apply(Submit{job_of(i % 2, 3)});
  house.apply(Drain{0});
  house.apply(Cancel{1});
  Image image{house.scheduler.spec(), {}, house.scheduler.jobs(), house.scheduler.now()};
  for (NodeId n = 0; n < 2; ++n) image.nodes.push_back(house.scheduler.node_image(n));
  const Scheduler again(image, house.now, policy_named("hearth"));
  EXPECT_EQ(again.fingerprint(), house.scheduler.fingerprint());
}

TEST(Scheduler, AKeyIsTakenOnce) {
  House house(1, "hearth");
  JobSpec spec = job_of(0, 1);
  spec.key = "mine";
  house.apply(Submit{spec});
  house.apply(Submit{spec});
  EXPECT_EQ(house.scheduler.jobs().size(), 1U);
  EXPECT_EQ(house.scheduler.job_keyed("mine"), 0);
}

TEST(Scheduler, ResizesAndMovesAsTheOwnerSays) {
  House house(2, "hearth");
  house.apply(Submit{job_of(0, 1)});
  house.apply(Resize{0, 2, 2});
  EXPECT_EQ(house.scheduler.job(0).placed.size(), 2U);
  EXPECT_EQ(house.state(0), JobState::kRunning);
  EXPECT_THROW(house.scheduler.check(Resize{0, 2, 1}), Error);
  EXPECT_THROW(house.scheduler.check(Move{0, {1}}), Error);
  house.apply(Move{0, {0}});
  EXPECT_EQ(house.state(0), JobState::kRunning);
}

TEST(Scheduler, ANodeEnrolsOnceAndIsUsedWhenItJoins) {
  House house(1, "hearth");
  house.apply(Submit{job_of(0, 5)});
  EXPECT_EQ(house.scheduler.job(0).why.reason, Reason::kNoSuchPlace);
  const Node node{"late", 0, 0, 8, ""};
  house.apply(Enroll{node});
  house.apply(Enroll{node});
  EXPECT_EQ(house.scheduler.spec().nodes.size(), 2U);
  house.agents.emplace_back(1, 1, LeaseTerms{});
  house.advance(10);
  EXPECT_EQ(house.state(0), JobState::kStarting);
  // Its first start came before its lease and was not taken.
  house.advance(5'000);
  EXPECT_EQ(house.state(0), JobState::kRunning);
  EXPECT_THROW(house.scheduler.check(Enroll{{"late", 0, 0, 9, ""}}), Error);
}

TEST(Scheduler, MovesASmallJobSoThatALargeOneFits) {
  for (const auto& [policy, state] :
       {std::pair("hearth-still", JobState::kQueued), {"hearth", JobState::kRunning}}) {
    House house(2, policy);
    for (int i = 0; i < 4; ++i) house.apply(Submit{job_of(0, 2)});
    for (JobId id : {1, 3}) house.apply(Cancel{id});
    for (Millis t = 5'000; t <= 400'000; t += 5'000) house.advance(t);
    JobSpec large = job_of(1, 4);
    large.locality = Locality::kNode;
    house.apply(Submit{large});
    EXPECT_EQ(house.state(4), state) << policy;
    if (state == JobState::kQueued) continue;
    EXPECT_THAT(explain(house.scheduler, 0).sentence + explain(house.scheduler, 2).sentence,
                HasSubstr("so that the hole it left fits job 4"));
  }
}

TEST(Scheduler, OneThatWaitsLikeAnotherNeedsNoPlan) {
  House house(1, "hearth");
  house.apply(Submit{job_of(0, 4)});
  for (int i = 0; i < 2; ++i) house.apply(Submit{job_of(0, 4)});
  EXPECT_EQ(house.scheduler.job(2).why.reason, house.scheduler.job(1).why.reason);
  house.apply(Cancel{0});
  EXPECT_EQ(house.state(1), JobState::kRunning);
  house.apply(Cancel{1});
  EXPECT_EQ(house.state(2), JobState::kRunning);
}

// One to eight workers, whose rate grows with the root of their number.
JobSpec elastic_job() {
  JobSpec spec = job_of(0, 1);
  spec.max_workers = 8;
  spec.stop_cost = 1'000;
  RateTable table;
  table.rates = {{0, 1, 1.41, 1.73, 2, 2.24, 2.45, 2.65, 2.83}};
  spec.rates = std::make_shared<const RateTable>(table);
  return spec;
}

void submit_elastic(House& house, JobId id, double work_left) {
  const JobSpec spec = elastic_job();
  house.apply(Submit{spec});
  house.apply(Measured{id, spec.rates, work_left});
}

// By steps within a lease.
void live_until(House& house, Millis until) {
  while (house.now < until) house.advance(house.now + 2'000);
}

TEST(Scheduler, WhoHasTheLeastLeftGetsTheLargestShare) {
  House house(2, "hearth");
  for (JobId id = 0; id < 3; ++id) submit_elastic(house, id, 100'000);
  live_until(house, 300'000);
  house.apply(Measured{2, elastic_job().rates, 20'000});
  live_until(house, 600'000);
  house.apply(Measured{1, elastic_job().rates, 90'000});
  house.advance(house.now + 2'000);
  EXPECT_EQ(house.scheduler.job(0).workers(), 2);
  EXPECT_EQ(house.scheduler.job(1).workers(), 2);
  EXPECT_EQ(house.scheduler.job(2).workers(), 4);
}

TEST(Scheduler, AnElasticJobIsNotRestartedForLessThanThatCosts) {
  for (const auto& [work_left, workers] : {std::pair(100'000.0, 8), std::pair(1.0, 4)}) {
    House house(2, "hearth");
    house.apply(Submit{job_of(0, 4)});
    submit_elastic(house, 1, 100'000);
    live_until(house, 300'000);
    EXPECT_EQ(house.scheduler.job(1).workers(), 4);
    house.apply(Measured{1, elastic_job().rates, work_left});
    house.apply(Cancel{0});
    live_until(house, 310'000);
    EXPECT_EQ(house.scheduler.job(1).workers(), workers) << work_left;
  }
}

TEST(Scheduler, AnElasticJobThatNamesItsKindsGrowsToo) {
  House house(2, "hearth");
  JobSpec spec = elastic_job();
  spec.kinds = {0};
  house.apply(Submit{spec});
  live_until(house, 300'000);
  EXPECT_EQ(house.scheduler.job(0).workers(), 8);
}

TEST(Agent, NeverStartsAnEpochThatWasStopped) {
  Agent agent(0, 1, {});
  AgentOutput out;
  agent.receive(0, Lease{0, 1, 0}, out);
  agent.receive(1, Stop{0, 1, 5, 2, StopMode::kCheckpoint}, out);
  ASSERT_EQ(out.actions.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<Bury>(out.actions[0]));
  agent.receive(2, Start{0, 1, 5, 2, {{0, 0, kWholeDevice}}}, out);
  EXPECT_TRUE(agent.running().empty());
  agent.receive(3, Start{0, 1, 5, 3, {{0, 0, kWholeDevice}}}, out);
  EXPECT_EQ(agent.running().size(), 1U);
}

TEST(Agent, IsNobodyNewBeforeItsWorkersAreDead) {
  Agent agent(0, 1, {});
  AgentOutput out;
  agent.receive(0, Lease{0, 1, 0}, out);
  agent.receive(0, Start{0, 1, 5, 1, {{0, 0, kWholeDevice}}}, out);
  out = {};
  agent.advance(24'999, out);
  EXPECT_TRUE(out.actions.empty());
  out = {};
  agent.advance(25'000, out);
  ASSERT_EQ(out.actions.size(), 1U);
  EXPECT_EQ(std::get<Halt>(out.actions[0]).mode, StopMode::kKill);
  agent.advance(60'000, out);
  EXPECT_EQ(agent.incarnation(), 1);
  agent.exited(5, 1, Outcome::kKilled, {}, out);
  agent.advance(60'001, out);
  EXPECT_EQ(agent.incarnation(), 2);
}

TEST(Agent, KnocksSlowlyAndWithANumberThatIsNewEnough) {
  Agent agent(0, 5, {});
  AgentOutput out;
  agent.advance(0, out);
  agent.receive(1, Rejoin{0, 5, 70}, out);
  EXPECT_EQ(agent.incarnation(), 71);
  out = {};
  agent.advance(5'000, out);
  EXPECT_TRUE(out.events.empty());
  agent.advance(5'001, out);
  EXPECT_EQ(out.events.size(), 2U);
}

TEST(Agent, WhoRemembersWorkersIsNoNewcomer) {
  AgentMemory memory;
  memory.running[5] = {1, {{0, 0, kWholeDevice}}};
  Agent agent(0, 1, {}, memory);
  AgentOutput out;
  agent.advance(0, out);
  ASSERT_EQ(out.events.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<Heartbeat>(out.events[0]));
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
