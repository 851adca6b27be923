#include "forge/core/device_prices.h"

#include <gtest/gtest.h>

namespace hearth::forge {
namespace {

DevicePrices prices_of(std::initializer_list<std::pair<int32_t, int64_t>> wanted) {
  std::vector<int64_t> counts(kWholeDevice + 1, 0);
  for (const auto& [milli, count] : wanted) counts[static_cast<size_t>(milli)] = count;
  return DevicePrices(counts);
}

TEST(DevicePrices, NothingIsKnownAtFirst) {
  EXPECT_EQ(DevicePrices().loss(1'000, 300), 0);
  EXPECT_EQ(prices_of({}).loss(1'000, 300), 0);
}

// Fewer 300s than 700s: one beside a 700 costs nothing, one where a 700 would still fit a 700.
TEST(DevicePrices, WhatIsScarceGoesWhereItFillsAHole) {
  const DevicePrices prices = prices_of({{700, 100}, {300, 20}});
  EXPECT_EQ(prices.loss(300, 300), 0);
  EXPECT_NEAR(static_cast<double>(prices.loss(900, 300)), 700'000, 1);
}

// 600 and 400 fill a device, 500 and 500 do: a 400 beside a 500 wastes what a 500 would fill.
TEST(DevicePrices, PartsGoWhereTheirLikeIsWaitedFor) {
  const DevicePrices prices = prices_of({{600, 100}, {400, 100}, {500, 200}});
  EXPECT_LT(prices.loss(400, 400), prices.loss(500, 400));
  EXPECT_EQ(prices.loss(500, 500), prices.loss(1'000, 500));
}

TEST(DevicePrices, WhatNobodyFillsIsWorthNothing) {
  const DevicePrices prices = prices_of({{810, 100}, {1'000, 500}});
  EXPECT_EQ(prices.loss(190, 100), 0);
  EXPECT_EQ(prices.loss(1'000, 810), prices.loss(1'000, 1'000));
}

TEST(DevicePrices, ManySizesEndInTime) {
  std::vector<int64_t> counts(kWholeDevice + 1, 0);
  for (int32_t milli = 1; milli <= kWholeDevice; ++milli)
    counts[static_cast<size_t>(milli)] = 1 + (milli * 37) % 11;
  const DevicePrices prices(counts);
  for (int32_t free = 1; free <= kWholeDevice; ++free) EXPECT_GE(prices.loss(free, free), 0);
  EXPECT_NEAR(static_cast<double>(prices.loss(1'000, 1'000)), 1e6, 2e5);
}

}  // namespace
}  // namespace hearth::forge
