#include "base/random.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <numeric>
#include <vector>

namespace hearth {
namespace {

// Published vectors of Random123's kat_vectors for philox4x32-10.
TEST(Philox, MatchesPublishedVectors) {
  EXPECT_EQ(philox(0, 0),
            (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
}

TEST(Random, SameSeedSameStream) {
  Random a(7), b(7), c(8);
  EXPECT_EQ(a.next(), b.next());
  EXPECT_NE(a.next(), c.next());
}

TEST(Random, BelowStaysBelowAndReachesAll) {
  Random random(1);
  std::vector<int> seen(7);
  for (int i = 0; i < 1000; ++i) ++seen[random.below(7)];
  EXPECT_GT(*std::min_element(seen.begin(), seen.end()), 80);
}

TEST(Random, BetweenIncludesBothEnds) {
  Random random(2);
  bool low = false, high = false;
  for (int i = 0; i < 200; ++i) {
    const int64_t v = random.between(-2, 2);
    ASSERT_TRUE(v >= -2 && v <= 2);
    low |= v == -2;
    high |= v == 2;
  }
  EXPECT_TRUE(low && high);
}

TEST(Random, NormalHasUnitVariance) {
  Random random(3);
  double sum = 0, squares = 0;
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) {
    const double x = random.normal();
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / kDraws, 0, 0.03);
  EXPECT_NEAR(squares / kDraws, 1, 0.05);
}

TEST(Random, ShuffleIsAPermutation) {
  Random random(4);
  std::vector<int> items(100), sorted(100);
  std::iota(items.begin(), items.end(), 0);
  std::iota(sorted.begin(), sorted.end(), 0);
  random.shuffle(std::span(items));
  EXPECT_NE(items, sorted);
  std::sort(items.begin(), items.end());
  EXPECT_EQ(items, sorted);
}

}  // namespace
}  // namespace hearth
