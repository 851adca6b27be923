#include "engine/step_budget.h"

#include <gtest/gtest.h>

namespace hearth::engine {
namespace {

constexpr StepLoad kQuiet{.generating = 0, .generating_context = 0, .prompts = 3};
constexpr StepLoad kBusy{.generating = 10, .generating_context = 100, .prompts = 3};

TEST(TimedStepBudget, GivesPromptsEverythingWhileNobodyGenerates) {
  TimedStepBudget budget(2048, 100 * kMillisecond);
  budget.learn(2048, kSecond);
  EXPECT_EQ(budget.tokens(kQuiet, 0), 2048);
}

TEST(TimedStepBudget, LearnsHowManyTokensFitIntoTheTime) {
  TimedStepBudget budget(2048, 100 * kMillisecond);
  for (int i = 0; i < 40; ++i) {
    const int32_t tokens = budget.tokens(kBusy, 0);
    budget.learn(tokens, tokens * 250 * kMicrosecond);
  }
  EXPECT_NEAR(budget.tokens(kBusy, 0), 10 + 400, 5);
}

TEST(TimedStepBudget, AStepOfFewTokensTeachesNothing) {
  TimedStepBudget budget(2048, 100 * kMillisecond);
  const int32_t before = budget.tokens(kBusy, 0);
  budget.learn(10, kSecond);
  EXPECT_EQ(budget.tokens(kBusy, 0), before);
}

TEST(TimedStepBudget, ASlowMachineStillGetsOnWithItsPrompts) {
  TimedStepBudget budget(2048, kMillisecond);
  for (int i = 0; i < 40; ++i) budget.learn(64, 10 * kSecond);
  EXPECT_EQ(budget.tokens(kBusy, 0), 10 + 32);
}

TEST(TimedStepBudget, NeverGoesOverTheMost) {
  TimedStepBudget budget(512, kSecond);
  for (int i = 0; i < 40; ++i) budget.learn(512, kMicrosecond);
  EXPECT_LE(budget.tokens(kBusy, 0), 10 + 512);
}

}  // namespace
}  // namespace hearth::engine
