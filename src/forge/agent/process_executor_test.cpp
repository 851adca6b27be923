#include "forge/agent/process_executor.h"

#include <filesystem>
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace hearth::forge
