#include "engine/timed_step_budget.h"

#include <algorithm>
#include <gtest/gtest.h>

namespace hearth::engine {
namespace {

constexpr StepLoad kQuiet{.generating = 0, .generating_context = 0, .prompts = 3};
constexpr StepLoad kBusy{.generating = 10, .generating_context = 100, .prompts = 3};

// Prompt tokens of a step of ten sequences that is as long as the budget lets it be, once it has
// settled. Without prompts such a step takes 20 ms; a token of a prompt adds 250 us.
int32_t settled(TimedStepBudget& budget, Nanos token = 250 * kMicrosecond) {
  int32_t chunk = 0;
  for (int i = 0; i < 100; ++i) {
    chunk = budget.tokens(kBusy, 0) - kBusy.generating;
    budget.learn({.prompt_tokens = chunk, .generating = kBusy.generating},
                 20 * kMillisecond + chunk * token);
  }
  return chunk;
}

TEST(TimedStepBudget, GivesPromptsEverythingWhileNobodyGenerates) {
  TimedStepBudget budget(2048, {.target = 100 * kMillisecond, .stretch_permille = 2000});
  budget.learn({.prompt_tokens = 2048}, kSecond);
  EXPECT_EQ(budget.tokens(kQuiet, 0), 2048);
}

TEST(TimedStepBudget, FillsTheTarget) {
  TimedStepBudget budget(2048, {.target = 100 * kMillisecond});
  EXPECT_NEAR(settled(budget), 320, 10);
}

TEST(TimedStepBudget, PromptsStretchAStepSoFarAndNoFurther) {
  TimedStepBudget twice(2048, {.target = kSecond, .stretch_permille = 2000});
  EXPECT_NEAR(settled(twice), 80, 3);
  TimedStepBudget half_more(2048, {.stretch_permille = 1500});
  EXPECT_NEAR(settled(half_more), 40, 2);
  TimedStepBudget short_target(2048, {.target = 30 * kMillisecond, .stretch_permille = 2000});
  EXPECT_NEAR(settled(short_target), 40, 2);
}

// What a step will take once they generate too is the measure.
TEST(TimedStepBudget, WhereMorePromptsAreDueStepsMayTakeLonger) {
  TimedStepBudget budget(2048, {.target = 90 * kMillisecond, .stretch_permille = 2000});
  settled(budget);
  StepLoad load = kBusy;
  EXPECT_NEAR(budget.tokens(load, 0), 10 + 80, 3);
  load.prompts_due = 40;
  EXPECT_NEAR(budget.tokens(load, 0), 10 + 80 + 40, 5);
  load.prompts_due = 1000;
  EXPECT_NEAR(budget.tokens(load, 0), 10 + 280, 8) << "the target holds";
}

TEST(TimedStepBudget, RecoversFromAnEstimateThatLetsFewTokensThrough) {
  TimedStepBudget budget(2048, {.stretch_permille = 2000});
  settled(budget, 15 * kMillisecond);
  EXPECT_EQ(budget.tokens(kBusy, 0), 10 + 1);
  EXPECT_NEAR(settled(budget), 80, 3);
}

TEST(TimedStepBudget, ShortPromptsDoNotMakeALongOneLookCheap) {
  TimedStepBudget budget(2048, {.stretch_permille = 2000});
  settled(budget);
  for (int i = 0; i < 20; ++i) {
    budget.learn({.prompt_tokens = 5, .generating = 10}, 20 * kMillisecond);
  }
  EXPECT_NEAR(budget.tokens(kBusy, 0), 10 + 80, 5);
}

TEST(TimedStepBudget, WhatIsOwedMayFillTheTarget) {
  TimedStepBudget budget(2048, {.target = 100 * kMillisecond, .stretch_permille = 2000});
  settled(budget);
  StepLoad owed = kBusy;
  owed.owed = 200;
  EXPECT_EQ(budget.tokens(owed, 0), 10 + 200);
  owed.owed = 2000;
  EXPECT_NEAR(budget.tokens(owed, 0), 10 + 320, 10);
}

TEST(TimedStepBudget, LeavesPromptsOutOfAStepToSeeWhatItTakes) {
  TimedStepBudget budget(2048, {.stretch_permille = 2000});
  budget.learn({.prompt_tokens = 512}, 128 * kMillisecond);
  EXPECT_EQ(budget.tokens(kBusy, 0), 10) << "nothing is known of the load";
  settled(budget);
  StepLoad more = kBusy;
  more.generating = 20;
  EXPECT_EQ(budget.tokens(more, 0), 20) << "nothing is known of this one";
  budget.learn({.generating = 20}, 25 * kMillisecond);
  EXPECT_GT(budget.tokens(more, 0), 40);
}

TEST(TimedStepBudget, ASlowMachineStillGetsOnWithItsPrompts) {
  TimedStepBudget budget(2048, {.target = kMillisecond});
  EXPECT_EQ(settled(budget, 10 * kSecond), 16);
}

TEST(TimedStepBudget, NeverGoesOverTheMost) {
  TimedStepBudget budget(512, {.target = kSecond});
  EXPECT_LE(settled(budget, 1), 512);
}

// 1 ms a step, 100 us a prompt token, 10 ns for each token before it, 200 us a sequence, 1 us for
// each of its tokens.
constexpr CostModel kStepCosts{.step_ps = 1'000'000'000,
                               .prompt_token_ps = 100'000'000,
                               .prompt_context_ps = 10'000,
                               .sequence_ps = 200'000'000,
                               .context_ps = 1'000'000};

Nanos time_of(const StepLoad& load, int32_t tokens) {
  const int32_t chunk = tokens - load.generating;
  return kStepCosts.time({.prompt_tokens = chunk,
                          .prompt_context = context_of(load.prompt_context, chunk),
                          .generating = load.generating,
                          .generating_context = load.generating_context});
}

TEST(CostedStepBudget, FillsTheTimeAndNoMore) {
  CostedStepBudget budget(kStepCosts, 2048, {.target = 50 * kMillisecond});
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
  const CostedStepBudget budget(kStepCosts, 2048, {.target = 50 * kMillisecond});
  EXPECT_TRUE(budget.admits({.generating = 100, .generating_context = 10'000}));
  EXPECT_FALSE(budget.admits({.generating = 100, .generating_context = 30'000}));
  EXPECT_FALSE(budget.admits({.generating = 250}));
}

TEST(CostedStepBudget, GivesLessWhileTheMachineIsSlower) {
  CostedStepBudget budget(kStepCosts, 2048, {.target = 50 * kMillisecond});
  const StepWork work{.prompt_tokens = 400};
  const int32_t before = budget.tokens(kBusy, 0);
  for (int i = 0; i < 200; ++i) budget.learn(work, 2 * kStepCosts.time(work));
  EXPECT_NEAR(budget.tokens(kBusy, 0), before / 2, before / 20);
  for (int i = 0; i < 200; ++i) budget.learn(work, kStepCosts.time(work));
  EXPECT_NEAR(budget.tokens(kBusy, 0), before, before / 20);
  budget.learn(work, 100 * kSecond);
  EXPECT_GT(budget.tokens(kBusy, 0), before * 9 / 10) << "one disturbed step is no news";
}

TEST(CostedStepBudget, KeepsToTheStretchAndOwesTheTarget) {
  CostedStepBudget budget(kStepCosts, 2048,
                          {.target = 50 * kMillisecond, .stretch_permille = 2000});
  const StepLoad load{.generating = 10, .generating_context = 1000, .prompts = 1};
  EXPECT_EQ(budget.tokens(load, 0), 10) << "a step without prompts first";
  for (int i = 0; i < 60; ++i) {
    const int32_t chunk = budget.tokens(load, 0) - 10;
    const StepWork work{.prompt_tokens = chunk,
                        .prompt_context = context_of(0, chunk),
                        .generating = 10,
                        .generating_context = 1000};
    budget.learn(work, kStepCosts.time(work));
  }
  EXPECT_NEAR(budget.tokens(load, 0), 10 + 40, 3) << "4 ms without, 4 ms for prompts";
  StepLoad owed = load;
  owed.owed = 100;
  EXPECT_EQ(budget.tokens(owed, 0), 10 + 100);
  owed.owed = 2000;
  EXPECT_LE(time_of(owed, budget.tokens(owed, 0)), 51 * kMillisecond);
}

}  // namespace
}  // namespace hearth::engine
