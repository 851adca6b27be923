#include "sim/forge_traces.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "sim/forge_replay.h"

namespace hearth::sim {
namespace {

// A job of two epochs on devices of which each takes one second a step, whatever the batch. In its
// first epoch the gradients hardly differ, so that a larger batch gains nothing; in its second one
// they are nearly all noise.
std::map<std::string, std::string> two_epochs() {
  std::map<std::string, std::string> profiles;
  for (const char* kind : {"aws", "rtx", "dgx-ext"}) {
    profiles[fmt::format("bert/placements-{}.csv", kind)] =
        "placement,local_bsz,step_time,sync_time\n"
        "1,12,1,0\n1,24,1,0\n2,12,1,0\n2,24,1,0\n";
    profiles[fmt::format("bert/scalability-{}.csv", kind)] =
        "num_nodes,num_replicas,local_bsz,step_time,sync_time\n"
        "2,2,12,1,0\n";
  }
  for (const char* batch : {"12", "24", "48"}) {
    profiles[fmt::format("bert/validation-{}.csv", batch)] =
        "progress,iteration,metric,grad_sqr,grad_var\n100,100,0,1,0\n300,300,0,0,1\n";
  }
  return profiles;
}

TEST(SiaTrace, EachEpochHasItsOwnGradientNoise) {
  const ForgeTrace trace = sia_trace(
      "name,time,application,num_replicas,batch_size\nbert-0,5,bert,1,12\n", two_epochs());
  ASSERT_EQ(trace.jobs.size(), 1u);
  const ReplayJob& job = trace.jobs[0];
  EXPECT_EQ(job.submit_at, 5'000);
  EXPECT_DOUBLE_EQ(job.work, 300);
  ASSERT_EQ(job.phases.size(), 2u);
  EXPECT_DOUBLE_EQ(job.phases[1].work, 100);
  const double slowdown = 1.2;
  EXPECT_NEAR(job.phases[0].rates->at(0, 2) * slowdown, 1, 1e-9);
  EXPECT_NEAR(job.phases[1].rates->at(0, 2) * slowdown, 4, 1e-9);
}

// Before the first round, nothing is planned and nothing ends: the replay still has to go on.
TEST(ForgeReplay, JobsThatAllArriveBeforeTheFirstRoundRunToo) {
  const ForgeTrace trace = sia_trace(
      "name,time,application,num_replicas,batch_size\nbert-0,5,bert,1,12\n", two_epochs());
  for (const forge::Policy& policy : forge::policies()) {
    EXPECT_EQ(replay_forge(trace.fleet, trace.jobs, policy).ended, 1) << policy.name;
  }
}

}  // namespace
}  // namespace hearth::sim
