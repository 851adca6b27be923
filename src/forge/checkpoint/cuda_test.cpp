// Against a stand-in for the driver (tests/forge/fake_cuda.cpp): the order of the calls and what
// follows from a refusal. No GPU has seen this.
#include "forge/checkpoint/cuda.h"

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "io/file.h"

namespace hearth::forge {
namespace {

class CudaTest : public testing::Test {
 protected:
  // Processes that are not there: nothing is sent to anybody.
  static constexpr pid_t kOne = 2'000'000'001, kTwo = 2'000'000'002;

  CudaTest() { setenv("FAKE_CUDA_CALLS", calls_.c_str(), 1); }
  ~CudaTest() override {
    unsetenv("FAKE_CUDA_CALLS"), unsetenv("FAKE_CUDA_FAILS");
    std::filesystem::remove(calls_);
  }
  static void fail(const char* call, pid_t pid) {
    setenv("FAKE_CUDA_FAILS", (std::string(call) + " " + std::to_string(pid)).c_str(), 1);
  }
  std::string calls() const { return io::file_exists(calls_) ? io::read_file(calls_) : ""; }
  static std::string line(const char* call, pid_t pid, const char* more = "") {
    return std::string("cuCheckpointProcess") + call + " " + std::to_string(pid) + more + "\n";
  }
  static std::string taken_off(pid_t pid) {
    return line("Lock", pid, " with patience") + line("Checkpoint", pid);
  }
  static std::string put_back(pid_t pid) { return line("Restore", pid) + line("Unlock", pid); }

  std::string calls_ =
      (std::filesystem::temp_directory_path() / ("hearth-cuda-" + std::to_string(getpid())))
          .string();
};

TEST_F(CudaTest, GpusAreTakenOffAndPutBackInTheOppositeOrder) {
  {
    CudaPause pause(HEARTH_FAKE_CUDA, {kOne, kTwo});
    EXPECT_EQ(calls(), taken_off(kOne) + taken_off(kTwo));
    pause.end();
  }
  EXPECT_EQ(calls(), taken_off(kOne) + taken_off(kTwo) + put_back(kTwo) + put_back(kOne));
}

TEST_F(CudaTest, WhatFailsOnTheWayGivesThemBack) {
  try {
    const CudaPause pause(HEARTH_FAKE_CUDA, {kOne});
    throw_error(ErrorCode::kIo, "disk", "full");
  } catch (const Error&) {
  }
  EXPECT_EQ(calls(), taken_off(kOne) + put_back(kOne));
}

TEST_F(CudaTest, ProcessesThatWillNotRunAgainAreLeftAlone) {
  CudaPause(HEARTH_FAKE_CUDA, {kOne}).abandon();
  EXPECT_EQ(calls(), taken_off(kOne));
}

TEST_F(CudaTest, ARefusalUnlocksThatOneAndGivesTheOthersTheirGpus) {
  fail("cuCheckpointProcessCheckpoint", kTwo);
  try {
    const CudaPause pause(HEARTH_FAKE_CUDA, {kOne, kTwo});
    FAIL() << "it was refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, ErrorCode::kUnavailable);
    EXPECT_NE(std::string(error.what()).find("operation not permitted"), std::string::npos);
  }
  EXPECT_EQ(calls(), taken_off(kOne) + taken_off(kTwo) + line("Unlock", kTwo) + put_back(kOne));
}

TEST_F(CudaTest, ALockThatIsNotGivenIsNotGivenBack) {
  fail("cuCheckpointProcessLock", kOne);
  EXPECT_THROW(CudaPause(HEARTH_FAKE_CUDA, {kOne}), Error);
  EXPECT_EQ(calls(), line("Lock", kOne, " with patience"));
}

TEST_F(CudaTest, OneThatDoesNotGetItsGpuBackIsReported) {
  fail("cuCheckpointProcessRestore", kOne);
  CudaPause pause(HEARTH_FAKE_CUDA, {kOne});
  EXPECT_THROW(pause.end(), Error);
}

TEST_F(CudaTest, WithoutADriverOnlyUsersOfGpusAreRefused) {
  EXPECT_NO_THROW(CudaPause("/no/such/library", {}));
  try {
    const CudaPause pause("/no/such/library", {kOne});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code, ErrorCode::kUnavailable);
    EXPECT_EQ(error.where, "/no/such/library");
  }
  // A library without these calls is an older driver.
  EXPECT_THROW(CudaPause("libc.so.6", {kOne}), Error);
}

TEST_F(CudaTest, AProcessWithADeviceFileOpenUsesIt) {
  const std::string device = calls_ + "-nvidia0";
  EXPECT_TRUE(users_of_devices({getpid(), kOne}, calls_ + "-nvidia").empty());
  const int fd = open(device.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  EXPECT_EQ(users_of_devices({getpid(), kOne}, calls_ + "-nvidia"), std::vector<pid_t>{getpid()});
  close(fd);
  unlink(device.c_str());
}

TEST_F(CudaTest, NumbersInsideANamespaceFindTheProcessAgain) {
  const std::vector<pid_t> inside = numbers_inside({getpid()});
  ASSERT_EQ(inside.size(), 1U);
  EXPECT_GT(inside[0], 0);
  EXPECT_EQ(with_numbers_inside({getppid(), getpid()}, inside), std::vector<pid_t>{getpid()});
}

}  // namespace
}  // namespace hearth::forge
