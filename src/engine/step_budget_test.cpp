#include "engine/step_budget.h"

#include <gtest/gtest.h>

namespace hearth::engine {
namespace {

constexpr StepLoad kQuiet{.generating = 0, .generating_context = 0, .prompts = 3};
constexpr StepLoad kBusy{.generating = 10, .generating_context = 100, .prompts = 3};

TEST(TimedStepBudget, GivesPromptsEverythingWhileNobodyGenerates) {
  TimedStepBudget budget(2048, 100 * kMillisecond);
  budget.learn({.prompt_tokens = 2048}, kSecond);
  EXPECT_EQ(budget.tokens(kQuiet, 0), 2048);
}

TEST(TimedStepBudget, LearnsHowManyTokensFitIntoTheTime) {
  TimedStepBudget budget(2048, 100 * kMillisecond);
  for (int i = 0; i < 40; ++i) {
    const int32_t tokens = budget.tokens(kBusy, 0);
    budget.learn({.prompt_tokens = tokens}, tokens * 250 * kMicrosecond);
  }
  EXPECT_NEAR(budget.tokens(kBusy, 0), 10 + 400, 5);
}

TEST(TimedStepBudget, AStepOfFewTokensTeachesNothing) {
  TimedStepBudget budget(2048, 100 * kMillisecond);
  const int32_t before = budget.tokens(kBusy, 0);
  budget.learn({.prompt_tokens = 10}, kSecond);
  EXPECT_EQ(budget.tokens(kBusy, 0), before);
}

TEST(TimedStepBudget, ASlowMachineStillGetsOnWithItsPrompts) {
  TimedStepBudget budget(2048, kMillisecond);
  for (int i = 0; i < 40; ++i) budget.learn({.prompt_tokens = 64}, 10 * kSecond);
  EXPECT_EQ(budget.tokens(kBusy, 0), 10 + 32);
}

TEST(TimedStepBudget, NeverGoesOverTheMost) {
  TimedStepBudget budget(512, kSecond);
  for (int i = 0; i < 40; ++i) budget.learn({.prompt_tokens = 512}, kMicrosecond);
  EXPECT_LE(budget.tokens(kBusy, 0), 10 + 512);
}

// 1 ms a step, 100 us a prompt token, 10 ns for each token before it, 200 us a sequence, 1 us for
// each of its tokens.
constexpr CostModel kCosts{.step_ps = 1'000'000'000,
                           .prompt_token_ps = 100'000'000,
                           .prompt_context_ps = 10'000,
                           .sequence_ps = 200'000'000,
                           .context_ps = 1'000'000};

Nanos time_of(const StepLoad& load, int32_t tokens) {
  const int32_t chunk = tokens - load.generating;
  return kCosts.time({.prompt_tokens = chunk,
                      .prompt_context = context_of(load.prompt_context, chunk),
                      .generating = load.generating,
                      .generating_context = load.generating_context});
}

TEST(CostedStepBudget, FillsTheTimeAndNoMore) {
  CostedStepBudget budget(kCosts, 2048, 50 * kMillisecond);
  for (const int32_t generating : {0, 1, 20, 100}) {
    for (const int32_t before : {0, 500, 30'000}) {
      const StepLoad load{generating, generating * 100, 1, before};
      const int32_t tokens = budget.tokens(load, 0);
      EXPECT_LE(time_of(load, tokens), 50 * kMillisecond);
      EXPECT_GT(time_of(load, tokens + 1), 50 * kMillisecond) << generating << " " << before;
    }
  }
}

TEST(CostedStepBudget, AdmitsWhoLeavesRoomForPrompts) {
  const CostedStepBudget budget(kCosts, 2048, 50 * kMillisecond);
  EXPECT_TRUE(budget.admits({.generating = 100, .generating_context = 10'000}));
  EXPECT_FALSE(budget.admits({.generating = 100, .generating_context = 30'000}));
  EXPECT_FALSE(budget.admits({.generating = 250}));
}

TEST(CostedStepBudget, GivesLessWhileTheMachineIsSlower) {
  CostedStepBudget budget(kCosts, 2048, 50 * kMillisecond);
  const StepWork work{.prompt_tokens = 400};
  const int32_t before = budget.tokens(kBusy, 0);
  for (int i = 0; i < 200; ++i) budget.learn(work, 2 * kCosts.time(work));
  EXPECT_NEAR(budget.tokens(kBusy, 0), before / 2, before / 20);
  for (int i = 0; i < 200; ++i) budget.learn(work, kCosts.time(work));
  EXPECT_NEAR(budget.tokens(kBusy, 0), before, before / 20);
  budget.learn(work, 100 * kSecond);
  EXPECT_GT(budget.tokens(kBusy, 0), before * 9 / 10) << "one disturbed step is no news";
}

}  // namespace
}  // namespace hearth::engine
