#include "engine/chunk_cost.h"

#include <gtest/gtest.h>

#include "engine/cost_model.h"

namespace hearth::engine {
namespace {

// 1 ms a token, 500 ns more for each token before it.
Nanos true_cost(int32_t tokens, int64_t context) { return tokens * kMillisecond + context * 500; }

// One prompt of 4,096 tokens, in chunks that fill the step.
void see_prompt(ChunkCost& cost, int32_t chunk) {
  for (int32_t computed = 0; computed < 4096; computed += chunk) {
    const int64_t context = context_of(computed, chunk);
    const Nanos took = true_cost(chunk, context);
    cost.learn(chunk, context, took, took);
  }
}

TEST(ChunkCost, MovesFromTheGuessToWhatIsSeen) {
  ChunkCost cost(3 * kMillisecond);
  EXPECT_EQ(cost.time(10, 0), 30 * kMillisecond);
  for (int i = 0; i < 40; ++i) cost.learn(10, 0, 10 * kMillisecond, 10 * kMillisecond);
  EXPECT_NEAR(cost.time(10, 0), 10 * kMillisecond, kMillisecond / 2);
  EXPECT_EQ(cost.time(0, 0), 0);
}

TEST(ChunkCost, CountsTheTokensBefore) {
  ChunkCost cost(kMillisecond / 2);
  see_prompt(cost, 32);
  for (const int32_t before : {0, 1000, 4000, 8000}) {
    const int64_t context = context_of(before, 32);
    const auto expected = static_cast<double>(true_cost(32, context));
    EXPECT_NEAR(static_cast<double>(cost.time(32, context)), expected, 0.1 * expected) << before;
  }
}

TEST(ChunkCost, FollowsASlowerMachine) {
  ChunkCost cost(kMillisecond / 2);
  see_prompt(cost, 32);
  for (int i = 0; i < 8; ++i) cost.learn(32, 0, 2 * true_cost(32, 0), true_cost(32, 0));
  EXPECT_GT(cost.time(32, 0), true_cost(32, 0) * 17 / 10);
  for (int i = 0; i < 40; ++i) cost.learn(32, 0, true_cost(32, 0), true_cost(32, 0));
  EXPECT_LT(cost.time(32, 0), true_cost(32, 0) * 11 / 10);
}

TEST(ChunkCost, OneDisturbedStepIsNoNews) {
  ChunkCost cost(kMillisecond / 2);
  see_prompt(cost, 32);
  const Nanos before = cost.time(32, 0);
  cost.learn(32, 0, 10 * kSecond, before);
  EXPECT_LE(cost.time(32, 0), before * 13 / 10);
}

TEST(ChunkCost, AChunkThatRodeAlongForNothingSaysNothingOfTheSlope) {
  ChunkCost cost(kMillisecond / 2);
  see_prompt(cost, 32);
  const Nanos before = cost.time(32, context_of(4000, 32));
  for (int i = 0; i < 3; ++i) cost.learn(4, 0, 0, 40 * kMillisecond);
  EXPECT_GT(cost.time(32, context_of(4000, 32)), before * 8 / 10);
}

TEST(ChunkCost, WhatComesBeforeWhatWasSeenIsNotFree) {
  ChunkCost cost(kMillisecond / 2);
  cost.learn(32, context_of(30'000, 32), kSecond, kSecond);
  cost.learn(32, context_of(30'100, 32), 2 * kSecond, 2 * kSecond);
  EXPECT_GT(cost.time(32, 0), 0);
}

}  // namespace
}  // namespace hearth::engine
