#include "forge/agent/checks.h"

#include <gtest/gtest.h>

namespace hearth::forge {
namespace {

TEST(Checks, AFlippedBitIsFound) {
  std::vector<uint64_t> memory(1'000);
  for (size_t i = 0; i < memory.size(); ++i) memory[i] = 0x5555'5555'5555'5555U ^ i;
  EXPECT_TRUE(check_pattern(memory, 0x5555'5555'5555'5555U).good);
  memory[700] ^= 1U << 9;
  const CheckResult result = check_pattern(memory, 0x5555'5555'5555'5555U);
  EXPECT_FALSE(result.good);
  EXPECT_EQ(result.text, "word 700 has wrong bits 0x200");
}

TEST(Checks, ThisMachineCanMultiply) {
  const CheckResult result = check_arithmetic();
  EXPECT_TRUE(result.good) << result.text;
}

TEST(Checks, AClockThatIsFarOffIsNamed) {
  EXPECT_TRUE(check_clock({.round_trip_ms = 1, .ahead_ms = -900}, 5'000).good);
  const CheckResult late = check_clock({.round_trip_ms = 1, .ahead_ms = 90'000}, 5'000);
  EXPECT_FALSE(late.good);
  EXPECT_EQ(late.text, "90.0 s behind the server's");
}

TEST(Checks, ASitesOwnCheckCounts) {
  CheckOptions options{.folder = testing::TempDir(), .command = "exit 3", .memory_bytes = 1 << 16};
  const std::vector<CheckResult> results = run_checks(options);
  EXPECT_TRUE(results[0].good) << results[0].text;
  EXPECT_FALSE(results.back().good);
  EXPECT_EQ(results.back().text, "'exit 3' ended with 3");
}

}  // namespace
}  // namespace hearth::forge
