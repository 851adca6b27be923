#include "forge/slurm/region.h"

#include <gtest/gtest.h>

#include "forge/slurm/fake_slurm.h"

namespace hearth::forge {
namespace {

struct SlurmRegionTest : testing::Test {
  // One turn a look.
  void turn() { region.turn(now += 1'000); }

  FakeSlurm slurm;
  SlurmRegion region{slurm, "hearth-1-"};
  Millis now = 0;
};

TEST_F(SlurmRegionTest, AnOrderIsSubmittedOnceAndFollowed) {
  region.submit({.name = "hearth-1-a"});
  EXPECT_EQ(region.news("hearth-1-a").fate, SlurmFate::kUnsaid);
  turn();
  EXPECT_EQ(region.news("hearth-1-a").fate, SlurmFate::kWaiting);
  slurm.set("hearth-1-a", SlurmState::kAlive, "RUNNING");
  turn();
  EXPECT_EQ(region.news("hearth-1-a").fate, SlurmFate::kAlive);
  slurm.set("hearth-1-a", SlurmState::kEnded, "COMPLETED");
  turn();
  EXPECT_EQ(region.news("hearth-1-a").fate, SlurmFate::kEnded);
  slurm.known.clear();
  turn();
  EXPECT_EQ(region.news("hearth-1-a").fate, SlurmFate::kGone);
  EXPECT_EQ(slurm.submissions, 1);
}

TEST_F(SlurmRegionTest, OneLookForAllJobsASecond) {
  for (int i = 0; i < 20; ++i) region.submit({.name = "hearth-1-" + std::to_string(i)});
  for (int i = 0; i < 20; ++i) region.turn(now += 100);
  EXPECT_EQ(slurm.looks, 2);
}

TEST_F(SlurmRegionTest, ALostAnswerIsLookedUpByNameAndNotSubmittedAgain) {
  slurm.lose_answers = true;
  region.submit({.name = "hearth-1-a"});
  turn(), turn();
  EXPECT_EQ(region.news("hearth-1-a").fate, SlurmFate::kWaiting);
  EXPECT_EQ(slurm.submissions, 1);
}

TEST_F(SlurmRegionTest, WhatNeverArrivedIsSubmittedAgainOnceThatIsKnown) {
  slurm.away = true;
  region.submit({.name = "hearth-1-a"});
  turn(), turn(), turn();
  EXPECT_EQ(slurm.submissions, 1);
  slurm.away = false;
  turn(), turn();
  EXPECT_EQ(slurm.submissions, 2);
  EXPECT_EQ(slurm.known.size(), 1u);
}

TEST_F(SlurmRegionTest, AnOrderOfAnEarlierLifeIsLookedUpFirst) {
  slurm.known.push_back({5, "hearth-1-a", SlurmState::kAlive, "RUNNING"});
  region.submit_unless_known({.name = "hearth-1-a"}, now);
  region.submit_unless_known({.name = "hearth-1-b"}, now);
  turn(), turn(), turn();
  EXPECT_EQ(region.news("hearth-1-a").fate, SlurmFate::kAlive);
  EXPECT_EQ(region.news("hearth-1-b").fate, SlurmFate::kWaiting);
  EXPECT_EQ(slurm.submissions, 1);
}

TEST_F(SlurmRegionTest, ACancelledOneIsFollowedUntilSlurmHasLetItGo) {
  slurm.lose_answers = true;
  region.submit({.name = "hearth-1-a"});
  region.turn(now += 10);
  region.cancel("hearth-1-a");
  region.forget("hearth-1-a");
  turn(), turn(), turn();
  EXPECT_EQ(slurm.cancelled.size(), 1u);
  EXPECT_EQ(slurm.submissions, 1);
  EXPECT_EQ(region.news("hearth-1-a").fate, SlurmFate::kGone);
}

TEST_F(SlurmRegionTest, ARefusalIsTold) {
  slurm.refusal = "no such partition";
  region.submit({.name = "hearth-1-a"});
  turn(), turn();
  EXPECT_EQ(region.news("hearth-1-a").fate, SlurmFate::kRefused);
  EXPECT_EQ(region.news("hearth-1-a").text, "no such partition");
  EXPECT_EQ(slurm.submissions, 1);
}

}  // namespace
}  // namespace hearth::forge
