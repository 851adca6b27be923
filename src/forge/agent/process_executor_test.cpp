#include "forge/agent/process_executor.h"

#include <filesystem>
#include <gtest/gtest.h>

#include "base/error.h"
#include "forge/agent/run_folder.h"
#include "io/file.h"

namespace hearth::forge {
namespace {

class ProcessExecutorTest : public testing::Test {
 protected:
  ProcessExecutorTest() : dir_(testing::TempDir() + "hearth_executor_XXXXXX") {
    EXPECT_NE(mkdtemp(dir_.data()), nullptr);
  }
  ~ProcessExecutorTest() override { std::filesystem::remove_all(dir_); }

  ProcessExecutorOptions options() const { return {.state_dir = dir_, .node = "n1"}; }
  Incarnation recovered() const { return ProcessExecutor(options()).recover().incarnation; }
  void write_incarnation(const char* text) const {
    io::write_file_atomic(dir_ + "/incarnation", text);
  }

  std::string dir_;
};

TEST_F(ProcessExecutorTest, WhatRanBeforeTheMachineStartedAgainIsDead) {
  EXPECT_EQ(recovered(), 0) << "a new folder";
  ProcessExecutor(options()).begin(7);
  EXPECT_EQ(recovered(), 7);
  write_incarnation("7 of-another-boot\n");
  EXPECT_EQ(recovered(), 0);
}

TEST_F(ProcessExecutorTest, AProgramThatWroteNoBootDownIsBelieved) {
  write_incarnation("7 \n");
  EXPECT_EQ(recovered(), 7);
}

TEST_F(ProcessExecutorTest, ItsHomeStaysTheSame) {
  { const ProcessExecutor first(options()); }
  const std::string home = io::read_file(dir_ + "/home");
  { const ProcessExecutor second(options()); }
  EXPECT_EQ(io::read_file(dir_ + "/home"), home);
  EXPECT_EQ(home.size(), 8U);
}

TEST_F(ProcessExecutorTest, WhatNeverHadAFolderIsRememberedAllTheSame) {
  {
    ProcessExecutor hands(options());
    hands.begin(7);
    io::write_file_atomic(hands.run_dir(3, 2), "in the way");
    EXPECT_THROW(hands.start({.job = 3, .epoch = 2, .slots = {{0, 0}}}), Error);
    hands.bury(3, 2);
    hands.bury(3, 1);
  }
  ProcessExecutor hands(options());
  EXPECT_EQ(hands.recover().memory.ends.at(3).epoch, 2);
  hands.begin(8);
  EXPECT_EQ(io::read_file(dir_ + "/incarnation").substr(0, 2), "8 ");
  EXPECT_TRUE(hands.recover().memory.ends.empty());
}

// As where the disk is full: no new file can be made.
TEST_F(ProcessExecutorTest, AnEndFindsRoomWhereNothingElseDoes) {
  std::filesystem::create_directory(dir_ + "/exit.tmp." + std::to_string(getpid()));
  EXPECT_THROW(write_exit(dir_, {Outcome::kSucceeded, {0}, ""}), Error);
  make_room_for_exit(dir_);
  write_exit(dir_, {Outcome::kSucceeded, {0, 0}, "well"});
  EXPECT_EQ(read_exit(dir_)->note, "well");
  EXPECT_FALSE(io::file_exists(dir_ + "/exit.room"));
}

}  // namespace
}  // namespace hearth::forge
