#include "io/folder_lock.h"

#include <csignal>
#include <filesystem>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"

namespace hearth::io {
namespace {

class FolderLockTest : public testing::Test {
 protected:
  FolderLockTest() { std::filesystem::remove_all(folder_); }
  ~FolderLockTest() override { std::filesystem::remove_all(folder_); }

  // What a second holder is told; empty: it may.
  std::string second() const {
    try {
      const FolderLock lock(folder_, 0);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  const std::string folder_ = testing::TempDir() + "hearth-lock/run";
};

TEST_F(FolderLockTest, OneAtATimeAndTheOtherIsNamed) {
  {
    const FolderLock lock(folder_);
    const std::string said = second();
    EXPECT_NE(said.find(folder_), std::string::npos) << said;
    EXPECT_NE(said.find("process " + std::to_string(::getpid())), std::string::npos) << said;
  }
  EXPECT_EQ(second(), "");
}

TEST_F(FolderLockTest, AProcessThatIsKilledLetsGo) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const FolderLock lock(folder_);
    if (::write(ready[1], "x", 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  char byte;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_NE(second().find("process " + std::to_string(child)), std::string::npos);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(second(), "");
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(FolderLockTest, AFolderThatCannotBeMadeIsNamed) {
  try {
    const FolderLock lock("/proc/hearth/run");
    FAIL() << "made a folder in /proc";
  } catch (const Error& error) {
    EXPECT_EQ(error.where, "/proc/hearth/run");
  }
}

}  // namespace
}  // namespace hearth::io
