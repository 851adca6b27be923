#include "engine/decode_pace.h"

#include <gtest/gtest.h>

namespace hearth::engine {
namespace {

constexpr StepWork alone(int32_t generating) { return {.generating = generating}; }
constexpr StepWork with_prompts(int32_t generating) {
  return {.prompt_tokens = 100, .generating = generating};
}

TEST(DecodePace, IsThatOfStepsWithoutPrompts) {
  DecodePace pace;
  EXPECT_FALSE(pace.knows(8));
  pace.learn(with_prompts(8), 90 * kMillisecond);
  pace.learn({.prompt_tokens = 100}, 50 * kMillisecond);
  EXPECT_FALSE(pace.knows(8));
  pace.learn(alone(8), 30 * kMillisecond);
  EXPECT_TRUE(pace.knows(8));
  EXPECT_EQ(pace.time(), 30 * kMillisecond);
  pace.learn(with_prompts(8), 90 * kMillisecond);
  EXPECT_EQ(pace.time(), 30 * kMillisecond);
}

TEST(DecodePace, IsMeasuredAgainAfterManySteps) {
  DecodePace pace;
  pace.learn(alone(8), 30 * kMillisecond);
  int steps = 0;
  for (; pace.knows(8); ++steps) pace.learn(with_prompts(8), 60 * kMillisecond);
  EXPECT_EQ(steps, 64);
  pace.learn(alone(8), 30 * kMillisecond);
  EXPECT_TRUE(pace.knows(8));
}

TEST(DecodePace, IsMeasuredAgainForAnotherLoad) {
  DecodePace pace;
  pace.learn(alone(16), 30 * kMillisecond);
  int steps = 0;
  for (; pace.knows(19); ++steps) pace.learn(with_prompts(19), 60 * kMillisecond);
  EXPECT_EQ(steps, 8) << "prompts get on while sequences come and go";
  EXPECT_TRUE(pace.knows(14));
  EXPECT_TRUE(pace.knows(18));
  EXPECT_FALSE(pace.knows(13));
  EXPECT_FALSE(pace.knows(19));
  pace.learn(alone(64), 110 * kMillisecond);
  EXPECT_EQ(pace.time(), 110 * kMillisecond) << "nothing of the old load's";
}

TEST(DecodePace, OneDisturbedStepIsNoNews) {
  DecodePace pace;
  pace.learn(alone(8), 20 * kMillisecond);
  pace.learn(alone(8), kSecond);
  EXPECT_LE(pace.time(), 25 * kMillisecond);
  for (int i = 0; i < 30; ++i) pace.learn(alone(8), 40 * kMillisecond);
  EXPECT_NEAR(pace.time(), 40 * kMillisecond, kMillisecond);
}

}  // namespace
}  // namespace hearth::engine
