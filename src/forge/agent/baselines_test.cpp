#include "forge/agent/baselines.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

namespace hearth::forge {
namespace {

TEST(Baselines, LearnsWhatIsUsualAndComplainsOfMuchLess) {
  const auto path =
      std::filesystem::temp_directory_path() / ("hearth-baselines-" + std::to_string(getpid()));
  std::ofstream(path) << "another machine | copy | 900 901\n";
  {
    Baselines baselines(path.string(), "2 x a processor");
    for (double value : {10.0, 11.0, 1.0, 12.0, 10.5})
      EXPECT_TRUE(baselines.judge("copy", value, "GB/s").good);
  }
  Baselines again(path.string(), "2 x a processor");
  EXPECT_TRUE(again.judge("copy", 2.2, "GB/s").good);
  const CheckResult slow = again.judge("copy", 2.0, "GB/s");
  EXPECT_FALSE(slow.good);
  EXPECT_EQ(slow.text, "2.0 GB/s; this hardware does 10.5");
  // Another machine's lines are no measure for this one, and stay.
  Baselines other(path.string(), "another machine");
  EXPECT_TRUE(other.judge("copy", 500, "GB/s").good);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace hearth::forge
