#include "engine/cost_model.h"

#include <gtest/gtest.h>

namespace hearth::engine {
namespace {

constexpr CostModel kCosts{.step_ps = 10'000'000'000,
                           .prompt_token_ps = 90'000'000,
                           .prompt_context_ps = 20'000,
                           .sequence_ps = 200'000'000,
                           .context_ps = 1'000'000,
                           .adapter_ps = 50'000'000,
                           .adapter_row_ps = 10'000'000};

TEST(CostModel, ContextIsSummedOverTheTokens) {
  EXPECT_EQ(context_of(0, 1), 0);
  EXPECT_EQ(context_of(10, 1), 10);
  EXPECT_EQ(context_of(10, 3), 10 + 11 + 12);
  EXPECT_EQ(context_of(0, 100'000), int64_t{100'000} * 99'999 / 2);
}

TEST(CostModel, AStepIsTheSumOfItsParts) {
  EXPECT_EQ(kCosts.time({}), 10 * kMillisecond);
  EXPECT_EQ(kCosts.time({.prompt_tokens = 100, .prompt_context = 5000}),
            10 * kMillisecond + 9 * kMillisecond + 100 * kMicrosecond);
  EXPECT_EQ(kCosts.time({.generating = 2, .generating_context = 700}),
            10 * kMillisecond + 400 * kMicrosecond + 700 * kMicrosecond);
  EXPECT_EQ(kCosts.time({.adapters = 3, .adapter_rows = 5}),
            10 * kMillisecond + 150 * kMicrosecond + 50 * kMicrosecond);
}

TEST(TokenPrices, APromptOfReferenceLengthCostsAUnitAToken) {
  const TokenPrices prices = prices_of(kCosts, 100 * kMillisecond, 1000);
  const Cost cost = prices.of_prompt(0, kReferencePrompt, kBaseModel);
  EXPECT_NEAR(static_cast<double>(cost), 1e3 * kCostPerUnit, 1e-3 * 1e3 * kCostPerUnit);
  EXPECT_GT(prices.of_prompt(0, 10'000, kBaseModel), 10 * cost) << "long ones cost more a token";
  EXPECT_EQ(prices.of_prompt(640, 640, kBaseModel), 0) << "what is cached is free";
  EXPECT_GT(prices.of_prompt(0, 100, 7), prices.of_prompt(0, 100, kBaseModel));
}

TEST(TokenPrices, OneByOneIsAllAtOnce) {
  const TokenPrices prices = prices_of(kCosts, 100 * kMillisecond, 1000);
  Cost sum = 0;
  for (int32_t i = 0; i < 50; ++i) sum += prices.of_tokens(300 + i, 1, 4);
  EXPECT_EQ(sum, prices.of_tokens(300, 50, 4));
  EXPECT_EQ(prices.of_prompt(0, 80, 4) + prices.of_prompt(80, 200, 4), prices.of_prompt(0, 200, 4));
}

// Whatever the mix, work that is worth the capacity can be done in a minute.
TEST(TokenPrices, WhatIsSoldCanBeDelivered) {
  const Nanos target = 100 * kMillisecond;
  for (const int32_t slots : {1, 8, 64, 400, 5000}) {
    const TokenPrices prices = prices_of(kCosts, target, slots);
    const double capacity = static_cast<double>(capacity_per_minute(kCosts, target));
    for (const double generated_share : {0.0, 0.1, 0.5, 0.9, 1.0}) {
      const double tokens = capacity * generated_share / static_cast<double>(prices.generated);
      const double prompt = capacity * (1 - generated_share) / kCostPerUnit;
      // Steps in a minute: as many as full ones, or as the slots need for these tokens.
      const double steps = std::max(60e9 / static_cast<double>(target), tokens / slots);
      const double seconds = steps * 0.010 + tokens * 200e-6 + prompt * 100e-6;
      EXPECT_LE(seconds, 60.1) << slots << " slots, generated " << generated_share;
    }
  }
}

TEST(CostModel, AMachineWithoutAModelSellsNothing) {
  EXPECT_FALSE(CostModel().known());
  EXPECT_EQ(capacity_per_minute({}, kSecond), 0);
  EXPECT_EQ(kCosts.saleable_permille(5 * kMillisecond), 0) << "a step is longer than the target";
  EXPECT_EQ(kCosts.saleable_permille(100 * kMillisecond), 900);
}

}  // namespace
}  // namespace hearth::engine
