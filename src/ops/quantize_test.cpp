#include "ops/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"

namespace hearth::ops {
namespace {

Tensor random_matrix(int64_t out, int64_t in, uint64_t seed) {
  Random random(seed);
  Tensor tensor(DType::kF32, {out, in});
  for (int64_t i = 0; i < out * in; ++i) {
    tensor->as<float>()[i] = static_cast<float>(random.normal());
  }
  return tensor;
}

float value(const Weight& w, int64_t o, int64_t i) {
  return static_cast<float>(quant_level(w, o, i)) * quant_scale(w, o, i);
}

double squared_error(const Weight& w, const TensorView& matrix) {
  double error = 0.0;
  for (int64_t o = 0; o < w.out; ++o) {
    for (int64_t i = 0; i < w.in; ++i) {
      const double difference = double{value(w, o, i)} - double{matrix.row<float>(o)[i]};
      error += difference * difference;
    }
  }
  return error / static_cast<double>(w.out * w.in);
}

TEST(Quantize, EightBitsAreWithinHalfALevel) {
  const Tensor matrix = random_matrix(19, 77, 1);
  const Weight w = quantize(matrix, WeightFormat::kQ8, 1, "w");
  for (int64_t o = 0; o < 19; ++o) {
    for (int64_t i = 0; i < 77; ++i) {
      // Rounding the scale to f16 moves the last levels by a little more.
      const float allowed = quant_scale(w, o, i) * 0.57f;
      EXPECT_NEAR(value(w, o, i), matrix->row<float>(o)[i], allowed);
    }
  }
}

// What the search is for: less error than the scale that puts the greatest element on level -8.
TEST(Quantize, FourBitsBeatTheScaleOfTheGreatest) {
  const Tensor matrix = random_matrix(64, 256, 2);
  double plain = 0.0;
  for (int64_t o = 0; o < 64; ++o) {
    for (int64_t from = 0; from < 256; from += kQuantGroup) {
      const float* x = matrix->row<float>(o) + from;
      const float most = *std::max_element(
          x, x + kQuantGroup, [](float a, float b) { return std::abs(a) < std::abs(b); });
      const float scale = most / -8.0f;
      for (int64_t i = 0; i < kQuantGroup; ++i) {
        const float level = std::clamp(std::nearbyint(x[i] / scale), -8.0f, 7.0f);
        plain += std::pow(double{level * scale - x[i]}, 2);
      }
    }
  }
  const Weight w = quantize(matrix, WeightFormat::kQ4, 1, "w");
  EXPECT_LT(squared_error(w, matrix), 0.95 * plain / (64 * 256));
}

TEST(Quantize, EndsArePaddedWithZeros) {
  for (WeightFormat format : {WeightFormat::kQ8, WeightFormat::kQ4}) {
    const Weight w = quantize(random_matrix(17, 33, 3), format, 1, "w");
    EXPECT_EQ(w.bytes(), 2 * 2 * (quant_group_bytes(format) + 2 * kQuantOuts));
    for (int64_t o = 0; o < 32; ++o) {
      for (int64_t i = 0; i < 64; ++i) {
        if (o >= 17 || i >= 33) {
          EXPECT_EQ(quant_level(w, o, i), 0) << o << " " << i;
        }
      }
    }
    EXPECT_EQ(quant_scale(w, 17, 0), 0.0f);
  }
}

TEST(Quantize, ThreadsChangeNothing) {
  const Tensor matrix = random_matrix(200, 96, 4);
  for (WeightFormat format : {WeightFormat::kQ8, WeightFormat::kQ4}) {
    const Weight one = quantize(matrix, format, 1, "w");
    const Weight four = quantize(matrix, format, 4, "w");
    EXPECT_EQ(std::memcmp(one.owned.data(), four.owned.data(), one.owned.bytes()), 0);
  }
}

TEST(Quantize, AWeightThatIsNoNumberIsNamed) {
  const Tensor matrix = random_matrix(4, 64, 5);
  matrix->row<float>(2)[40] = INFINITY;
  try {
    quantize(matrix, WeightFormat::kQ4, 1, "model.safetensors: tensor 'x'");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.where, "model.safetensors: tensor 'x'");
    EXPECT_EQ(error.code, ErrorCode::kDataLoss);
  }
}

}  // namespace
}  // namespace hearth::ops
