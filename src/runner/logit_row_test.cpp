#include "runner/logit_row.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

#include "base/random.h"

namespace hearth::runner {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

std::vector<float> random_row(Random& random, size_t size, double spread) {
  std::vector<float> row(size);
  for (float& x : row) x = static_cast<float>(random.normal() * spread);
  return row;
}

TEST(LogitRow, ArgmaxIsTheFirstOfTheLargestAtEveryLength) {
  Random random(1);
  for (size_t size = 1; size < 100; ++size) {
    std::vector<float> row = random_row(random, size, 1);
    const size_t first = random.below(size);
    row[first] = 100;
    if (first + 1 < size) row[size - 1] = 100;
    EXPECT_EQ(argmax(row), first) << size;
  }
}

TEST(LogitRow, ArgmaxNeverTakesNaN) {
  EXPECT_EQ(argmax(std::vector<float>{kNaN, 1, 2, kNaN}), 2u);
  EXPECT_EQ(argmax(std::vector<float>{-kInfinity, -kInfinity}), 0u);
  EXPECT_EQ(argmax(std::vector<float>{kNaN, kNaN}), 0u);
}

TEST(LogitRow, CountAbove) { EXPECT_EQ(count_above(std::vector<float>{1, 5, 5, kNaN, 7}, 5), 1u); }

TEST(LogitRow, WeightsAreThoseOfExp) {
  Random random(2);
  for (float temperature : {0.2f, 1.0f, 3.0f}) {
    const std::vector<float> row = random_row(random, 5000, 12);
    const float top = row[argmax(row)];
    RowWeights weights;
    weights.compute(row, top, temperature);
    double total = 0;
    for (size_t i = 0; i < row.size(); ++i) {
      const double x = (row[i] - top) * (1.0f / temperature);
      const double expected = x > -86.9 ? std::exp(x) : 0;
      // x itself is rounded to f32, which moves exp(x) by up to |x| times its rounding error.
      EXPECT_NEAR(weights.weights()[i], expected, expected * (2e-7 + 1.2e-7 * -x) + 1e-37);
      total += expected;
    }
    EXPECT_NEAR(weights.total(), total, total * 1e-6);
  }
}

TEST(LogitRow, WhatCannotComeWeighsNothing) {
  RowWeights weights;
  weights.compute(std::vector<float>{0, -kInfinity, kNaN, -88}, 0, 1);
  EXPECT_EQ(weights.weights()[0], 1.0f);
  for (size_t i = 1; i < 4; ++i) EXPECT_EQ(weights.weights()[i], 0.0f) << i;
}

TEST(LogitRow, FindWalksTheSharesInOrder) {
  Random random(3);
  const std::vector<float> row = random_row(random, 1000, 2);
  RowWeights weights;
  weights.compute(row, row[argmax(row)], 1);
  double before = 0;
  for (size_t i = 0; i < row.size(); ++i) {
    const double middle = (before + 0.5 * weights.weights()[i]) / weights.total();
    if (weights.weights()[i] > 1e-5 * weights.total()) {
      EXPECT_EQ(weights.find(middle), i);
    }
    before += weights.weights()[i];
  }
}

TEST(LogitRow, FindNeverTakesWhatWeighsNothing) {
  std::vector<float> row(200, -kInfinity);
  row[70] = 1;
  RowWeights weights;
  weights.compute(row, 1, 1);
  for (double share : {0.0, 0.5, 0.9999999999999999}) EXPECT_EQ(weights.find(share), 70u);
}

}  // namespace
}  // namespace hearth::runner
