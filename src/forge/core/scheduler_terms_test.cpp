// Deadlines, budgets and deployments that grow and shrink.
#include <gmock/gmock.h>

#include "base/error.h"
#include "forge/core/explain.h"
#include "forge/core/scheduler.h"
#include "forge/core/test_jobs.h"

namespace hearth::forge {
namespace {

using testing::HasSubstr;

// One node with four devices, and workers that start and stop at once. Two virtual clusters are
// guaranteed a half each.
class TermsHouse {
 public:
  explicit TermsHouse(Millis budget_of_a = 0)
      : scheduler(fleet(budget_of_a), policy_named("hearth"),
                  {.lease_ms = 1'000'000'000, .resend_ms = 1'000'000'000}) {
    apply(Joined{0, 1});
  }
  static FleetSpec fleet(Millis budget_of_a) {
    FleetSpec fleet;
    fleet.kinds = {{"gpu", 80, 400}};
    fleet.regions = {{"north", 40}};
    fleet.clusters = {{"main", 0}};
    fleet.nodes = {{"n0", 0, 0, 4, ""}};
    fleet.virtual_clusters = {{"a", -1, 2}, {"b", -1, 2}};
    fleet.virtual_clusters[0].budget = budget_of_a;
    return fleet;
  }
  void apply(const Event& event) {
    std::vector<Command> commands;
    scheduler.apply(now, event, commands);
    for (const Command& command : commands) {
      if (const auto* start = std::get_if<Start>(&command)) {
        apply(Started{start->node, 1, start->job, start->epoch});
      } else if (const auto* stop = std::get_if<Stop>(&command)) {
        modes[stop->job] = stop->mode;
        apply(Ended{stop->node, 1, stop->job, stop->epoch, Outcome::kSaved});
      }
    }
  }
  void advance(Millis to) {
    while (now < to) {
      now = std::min(to, now + 1'000);
      apply(Tick{});
    }
  }
  JobState state(JobId job) const { return scheduler.job(job).state; }
  std::string why(JobId job) const { return explain(scheduler, job).sentence; }

  Scheduler scheduler;
  std::map<JobId, StopMode> modes;  // of the last stop
  Millis now = 0;
};

TEST(Deadline, GoesBeforeItsTierWhenItIsNear) {
  TermsHouse house;
  house.apply(Submit{job_of(0, 4)});
  JobSpec hurried = job_of(0, 4);
  hurried.expected = 100'000;
  hurried.deadline = 400'000;  // to be started by 300 s; in a hurry 85 s before that
  house.apply(Submit{hurried});
  house.advance(214'000);
  EXPECT_EQ(house.state(1), JobState::kQueued);
  EXPECT_THAT(house.why(1), HasSubstr("It has 86 s to spare before its deadline."));
  house.advance(215'000);
  EXPECT_EQ(house.state(1), JobState::kRunning);
  EXPECT_EQ(house.state(0), JobState::kQueued);
  EXPECT_THAT(house.why(1), HasSubstr("so it goes before its tier"));
  EXPECT_THAT(house.why(0), HasSubstr("took its place"));
}

TEST(Deadline, ThatCannotBeMetAnyMoreCountsForNothing) {
  TermsHouse house;
  house.apply(Submit{job_of(0, 4)});
  JobSpec late = job_of(0, 4);
  late.expected = 1'000'000;
  late.deadline = 500'000;
  house.apply(Submit{late});
  EXPECT_EQ(house.state(1), JobState::kQueued);
  EXPECT_THAT(house.why(1), HasSubstr("will be missed by 500 s"));
}

TEST(Budget, OfAJobEndsItWithACheckpoint) {
  TermsHouse house;
  JobSpec spec = job_of(0, 2);
  spec.budget = 60'000;
  house.apply(Submit{spec});
  house.advance(29'000);
  EXPECT_EQ(house.state(0), JobState::kRunning);
  house.advance(30'000);
  EXPECT_EQ(house.state(0), JobState::kCancelled);
  EXPECT_EQ(house.modes.at(0), StopMode::kCheckpoint);
  EXPECT_THAT(house.why(0), HasSubstr("its budget of 0.01667 device hours is used up"));
}

TEST(Budget, OfAVirtualClusterStopsItsJobsUntilItIsRaised) {
  TermsHouse house(60'000);
  house.apply(Submit{job_of(0, 2)});
  house.apply(Submit{job_of(1, 1)});
  house.advance(30'000);
  EXPECT_EQ(house.state(0), JobState::kQueued);
  EXPECT_EQ(house.state(1), JobState::kRunning);
  EXPECT_THAT(house.why(0), HasSubstr("virtual cluster 'a' has used up its budget"));
  house.apply(Submit{job_of(0, 1)});
  house.advance(40'000);
  EXPECT_EQ(house.state(2), JobState::kQueued);
  EXPECT_EQ(house.scheduler.device_time(0), 60'000);
  FleetSpec raised = TermsHouse::fleet(90'000);
  house.apply(Configure{raised});
  EXPECT_EQ(house.state(0), JobState::kRunning);
  EXPECT_EQ(house.state(2), JobState::kRunning);
}

TEST(Restart, KillsTheRunThatIsMeantAndStartsItAgainAsOftenAsItMayFail) {
  TermsHouse house;
  JobSpec spec = job_of(0, 1);
  spec.max_failures = 1;
  house.apply(Submit{spec});
  const Epoch first = house.scheduler.job(0).epoch;
  house.apply(Restart{0, first});
  EXPECT_EQ(house.modes.at(0), StopMode::kKill);
  EXPECT_EQ(house.state(0), JobState::kRunning);
  EXPECT_EQ(house.scheduler.job(0).epoch, first + 1);
  house.apply(Restart{0, first});  // said twice, or late
  EXPECT_EQ(house.scheduler.job(0).epoch, first + 1);
  EXPECT_EQ(house.scheduler.job(0).failures, 1);
  house.apply(Restart{0, first + 1});
  EXPECT_EQ(house.state(0), JobState::kFailed);
  house.apply(Restart{0, first + 1});
  EXPECT_EQ(house.state(0), JobState::kFailed);
  EXPECT_THROW(house.scheduler.check(Restart{9, 1}), Error);
}

TEST(Deployment, TakesTrainingsDevicesAndGivesThemBack) {
  TermsHouse house;
  house.apply(Submit{job_of(0, 1)});
  house.apply(Submit{job_of(0, 2)});
  JobSpec deployment = job_of(1, 1);
  deployment.type = JobType::kInference;
  deployment.tier = Tier::kPremium;
  deployment.key = "chat";
  house.apply(Submit{deployment});
  EXPECT_EQ(house.state(1), JobState::kRunning);
  house.apply(Scale{2, 2});
  EXPECT_EQ(house.state(3), JobState::kRunning);
  EXPECT_EQ(house.scheduler.job(3).spec.replica_of, 2);
  EXPECT_EQ(house.state(1), JobState::kQueued);
  house.apply(Scale{2, 2});
  EXPECT_EQ(house.scheduler.jobs().size(), 4U);
  house.apply(Scale{2, 1});
  EXPECT_EQ(house.state(3), JobState::kCancelled);
  EXPECT_EQ(house.modes.at(3), StopMode::kCheckpoint);
  EXPECT_EQ(house.state(2), JobState::kRunning);
  EXPECT_EQ(house.state(1), JobState::kRunning);
  EXPECT_THROW(house.scheduler.check(Scale{0, 2}), Error);
  EXPECT_THROW(house.scheduler.check(Scale{2, 0}), Error);
  house.apply(Scale{2, 2});
  house.apply(Cancel{2});
  EXPECT_EQ(house.state(4), JobState::kCancelled);
}

}  // namespace
}  // namespace hearth::forge
