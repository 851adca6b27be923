#include "forge/slurm/executor.h"

#include <filesystem>
#include <gtest/gtest.h>

#include "forge/agent/run_folder.h"
#include "forge/slurm/fake_slurm.h"
#include "io/file.h"

namespace hearth::forge {
namespace {

namespace fs = std::filesystem;

struct SlurmExecutorTest : testing::Test {
  SlurmExecutorTest()
      : dir(fs::temp_directory_path() / ("hearth-slurm-" + std::to_string(getpid()))) {
    fs::create_directories(dir);
    hands = make();
    hands->begin(1);
  }
  ~SlurmExecutorTest() override { fs::remove_all(dir); }

  std::unique_ptr<SlurmExecutor> make() {
    return std::make_unique<SlurmExecutor>(SlurmNodeTerms{.state_dir = dir,
                                                          .node = "n0",
                                                          .id = "1",
                                                          .keeper = {"hearth"},
                                                          .gres = "gpu",
                                                          .lease_ms = 30'000,
                                                          .start_ms = 60'000},
                                           *region, now);
  }
  // Everybody's turn.
  std::vector<Exit> turn(Millis by = 1'000) {
    region->turn(now += by);
    return hands->poll(now);
  }
  // As the bridge after kill -9.
  Recovered again() {
    region = std::make_unique<SlurmRegion>(slurm, slurm_name_prefix("1"));
    hands = make();
    return hands->recover();
  }
  void start(Epoch epoch = 1) {
    hands->start({.job = 3, .epoch = epoch, .slots = {{0, 0}, {0, 1}}});
  }
  std::string folder(Epoch epoch = 1) const { return hands->run_dir(3, epoch); }
  std::string name(Epoch epoch = 1) const { return hands->job_name(3, epoch); }
  // What the script and the keeper do.
  void run_script() {
    fs::create_directory(folder() + "/claimed");
    io::write_file_atomic(folder() + "/lock", "");
    slurm.set(name(), SlurmState::kAlive, "RUNNING");
  }

  std::string dir;
  FakeSlurm slurm;
  std::unique_ptr<SlurmRegion> region =
      std::make_unique<SlurmRegion>(slurm, slurm_name_prefix("1"));
  std::unique_ptr<SlurmExecutor> hands;
  Millis now = 1'000'000;
};

TEST_F(SlurmExecutorTest, ARunEndsAsItsKeeperSays) {
  start();
  EXPECT_TRUE(turn().empty());
  run_script();
  EXPECT_TRUE(turn().empty());
  write_exit(folder(), {Outcome::kSucceeded, {0}, ""});
  const std::vector<Exit> exits = turn();
  ASSERT_EQ(exits.size(), 1u);
  EXPECT_EQ(exits[0].outcome, Outcome::kSucceeded);
  EXPECT_TRUE(hands->idle());
}

TEST_F(SlurmExecutorTest, StoppedBeforeItStartedItNeverStarts) {
  start();
  turn();
  hands->halt(3, 1, StopMode::kCheckpoint);
  const std::vector<Exit> exits = turn();
  ASSERT_EQ(exits.size(), 1u);
  EXPECT_EQ(exits[0].outcome, Outcome::kKilled);
  EXPECT_FALSE(fs::create_directory(folder() + "/claimed"));  // the script finds it taken
  turn();
  EXPECT_EQ(slurm.cancelled.size(), 1u);
}

TEST_F(SlurmExecutorTest, ARunningOneIsAskedThroughItsFolder) {
  start();
  turn();
  run_script();
  turn();
  hands->halt(3, 1, StopMode::kCheckpoint);
  EXPECT_EQ(io::read_file(folder() + "/stop"), "save");
  hands->halt(3, 1, StopMode::kKill);
  EXPECT_EQ(io::read_file(folder() + "/stop"), "kill");
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(i > 6 || turn().empty());
  EXPECT_EQ(slurm.cancelled.size(), 1u);  // its keeper did not do it, so Slurm is asked to
}

TEST_F(SlurmExecutorTest, ABridgeThatComesBackFindsItsRunsAndOrdersNothingTwice) {
  slurm.lose_answers = true;
  start();
  region->turn(now += 10);
  ASSERT_EQ(slurm.submissions, 1);
  const Recovered left = again();
  EXPECT_EQ(left.incarnation, 1);
  EXPECT_EQ(left.memory.running.at(3).epoch, 1);
  turn(), turn(), turn();
  EXPECT_EQ(slurm.submissions, 1);
  run_script();
  again();
  turn(), turn();
  write_exit(folder(), {Outcome::kFailed, {7}, ""});
  ASSERT_EQ(turn().size(), 1u);
  EXPECT_EQ(again().memory.ends.at(3).outcome, Outcome::kFailed);
}

TEST_F(SlurmExecutorTest, AKeeperThatDiedWithoutAWordIsOverWhenSlurmSaysSo) {
  start();
  turn();
  run_script();
  turn();
  slurm.set(name(), SlurmState::kEnded, "FAILED, NonZeroExitCode");
  EXPECT_TRUE(turn().empty());
  EXPECT_TRUE(turn().empty());  // its last word may be on the way
  const std::vector<Exit> exits = turn(6'000);
  ASSERT_EQ(exits.size(), 1u);
  EXPECT_EQ(exits[0].outcome, Outcome::kKilled);
}

TEST_F(SlurmExecutorTest, ARunOnALostNodeIsOverAfterALeaseAndNotBefore) {
  start();
  turn();
  run_script();
  turn();
  slurm.set(name(), SlurmState::kNodeFailed, "NODE_FAIL");
  EXPECT_TRUE(turn().empty());
  EXPECT_EQ(io::read_file(folder() + "/stop"), "kill");
  EXPECT_TRUE(turn(25'000).empty());
  ASSERT_EQ(turn(6'000).size(), 1u);
}

TEST_F(SlurmExecutorTest, WhatTheControllerForgotIsTreatedTheSame) {
  start();
  turn();
  run_script();
  turn();
  slurm.known.clear();
  EXPECT_TRUE(turn().empty());
  EXPECT_TRUE(turn(25'000).empty());
  ASSERT_EQ(turn(6'000).size(), 1u);
}

TEST_F(SlurmExecutorTest, TheReasonOfAFailureIsInTheLog) {
  slurm.refusal = "Invalid partition name specified";
  start();
  const std::vector<Exit> exits = turn();
  ASSERT_EQ(exits.size(), 1u);
  EXPECT_EQ(exits[0].outcome, Outcome::kFailed);
  EXPECT_NE(io::read_file(folder() + "/0.log").find("Invalid partition name"), std::string::npos);
}

TEST_F(SlurmExecutorTest, ANodeThatDoesNotSeeTheFolderIsNamed) {
  start();
  turn();
  slurm.set(name(), SlurmState::kEnded, "COMPLETED");
  const std::vector<Exit> exits = turn();
  ASSERT_EQ(exits.size(), 1u);
  EXPECT_NE(io::read_file(folder() + "/0.log").find("does not see the folder"), std::string::npos);
}

TEST_F(SlurmExecutorTest, AFolderThatCannotBeReadHoldsNobodyElseUp) {
  start();
  hands->start({.job = 4, .epoch = 1, .slots = {{0, 0}}});
  turn();
  fs::create_directory(folder() + "/exit");
  write_exit(hands->run_dir(4, 1), {Outcome::kSucceeded, {0}, ""});
  std::vector<Exit> exits = turn();
  ASSERT_EQ(exits.size(), 1u);
  EXPECT_EQ(exits[0].job, 4);
  fs::remove(folder() + "/exit");
  write_exit(folder(), {Outcome::kSucceeded, {0}, ""});
  ASSERT_EQ(turn().size(), 1u);
}

TEST_F(SlurmExecutorTest, ARequestThatCannotBeWrittenDownIsWrittenLater) {
  start();
  turn();
  run_script();
  fs::create_directory(folder() + "/stop");
  hands->halt(3, 1, StopMode::kCheckpoint);
  turn();
  fs::remove(folder() + "/stop");
  turn();
  EXPECT_EQ(io::read_file(folder() + "/stop"), "save");
}

TEST_F(SlurmExecutorTest, WhatNeverHadAFolderIsRememberedAllTheSame) {
  io::write_file_atomic(folder(), "in the way");
  EXPECT_THROW(start(), Error);
  hands->bury(3, 1);
  EXPECT_EQ(again().memory.ends.at(3).epoch, 1);
  EXPECT_EQ(slurm.submissions, 0);
}

TEST_F(SlurmExecutorTest, WhatSlurmDoesNotStartIsTakenBack) {
  start();
  turn();
  EXPECT_TRUE(turn(30'000).empty());
  const std::vector<Exit> exits = turn(31'000);
  ASSERT_EQ(exits.size(), 1u);
  EXPECT_EQ(exits[0].outcome, Outcome::kKilled);
  turn();
  EXPECT_EQ(slurm.cancelled.size(), 1u);
}

}  // namespace
}  // namespace hearth::forge
