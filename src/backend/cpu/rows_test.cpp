// Norms, rotations, activations and look-ups.
#include "backend/cpu/rows.h"

#include <gtest/gtest.h>

#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/test_support.h"
#include "ops/elementwise.h"
#include "ops/norm.h"
#include "ops/rope.h"

namespace hearth::backend::cpu {
namespace {

using ops::Activation;

constexpr int64_t kSizes[] = {1, 3, 7, 8, 15, 16, 17, 33, 64, 100, 257, 1024};

class Rows : public EveryIsa {};
INSTANTIATE_TEST_SUITE_P(Cpu, Rows, testing::ValuesIn(isa_levels()), isa_name);

TEST_P(Rows, NormsByHand) {
  float x[] = {3, 4}, w[] = {2, 1}, b[] = {1, -1}, y[2];
  const TensorView xv(x, DType::kF32, {1, 2}), yv(y, DType::kF32, {1, 2});
  const TensorView wv(w, DType::kF32, {2}), bv(b, DType::kF32, {2});
  ops::rms_norm(ctx_, xv, {.weight = wv, .epsilon = 0.0f}, yv);  // rms = sqrt(12.5)
  EXPECT_NEAR(y[0], 6 / 3.5355339, 1e-6);
  EXPECT_NEAR(y[1], 4 / 3.5355339, 1e-6);
  ops::rms_norm(ctx_, xv, {.weight = wv, .epsilon = 0.0f, .offset = 1.0f}, yv);
  EXPECT_NEAR(y[0], 9 / 3.5355339, 1e-6);
  ops::layer_norm(ctx_, xv, {.weight = wv, .bias = bv, .epsilon = 0.0f}, yv);
  EXPECT_NEAR(y[0], -1, 1e-6);
  EXPECT_NEAR(y[1], 0, 1e-6);
  ops::layer_norm(ctx_, xv, {.epsilon = 0.75f}, yv);  // variance 0.25 + 0.75
  EXPECT_NEAR(y[0], -0.5, 1e-6);
  EXPECT_NEAR(y[1], 0.5, 1e-6);
}

TEST_P(Rows, NormsAgreeWithTheReference) {
  Random random(1);
  for (int64_t n : kSizes) {
    const Tensor x = random_tensor(random, {5, n}, 3.0f);
    for (int64_t i = 0; i < 5 * n; ++i) x->as<float>()[i] += 10.0f;
    const Tensor w = random_tensor(random, {n}), b = random_tensor(random, {n});
    const Tensor y(DType::kF32, {5, n}), expected(DType::kF32, {5, n});
    const ops::RmsNorm rms{.weight = w, .epsilon = 1e-5f, .offset = 1.0f};
    ops::rms_norm(ctx_, x, rms, y);
    ops::rms_norm(reference_ctx_, x, rms, expected);
    EXPECT_LE(difference(y, expected), 2e-6) << n;
    for (const ops::LayerNorm& norm : {ops::LayerNorm{w, b, 1e-3f}, ops::LayerNorm{w, {}, 1e-3f},
                                       ops::LayerNorm{{}, {}, 1e-3f}}) {
      ops::layer_norm(ctx_, x, norm, y);
      ops::layer_norm(reference_ctx_, x, norm, expected);
      EXPECT_LE(difference(y, expected), 1e-5) << n;
    }
  }
}

TEST_P(Rows, RopeTurnsByHand) {
  // A quarter turn of the first pair, none of the second; the last element is outside.
  float cos[] = {0, 1}, sin[] = {1, 0};
  const TensorView cv(cos, DType::kF32, {1, 2}), sv(sin, DType::kF32, {1, 2});
  float halves[] = {1, 2, 3, 4, 5};
  ops::rope(ctx_, {halves, DType::kF32, {1, 1, 5}}, cv, sv, ops::RopeStyle::kHalves);
  EXPECT_EQ(std::vector<float>(halves, halves + 5), (std::vector<float>{-3, 2, 1, 4, 5}));
  float pairs[] = {1, 2, 3, 4, 5};
  ops::rope(ctx_, {pairs, DType::kF32, {1, 1, 5}}, cv, sv, ops::RopeStyle::kPairs);
  EXPECT_EQ(std::vector<float>(pairs, pairs + 5), (std::vector<float>{-2, 1, 3, 4, 5}));
}

TEST_P(Rows, RopeAgreesWithTheReference) {
  Random random(2);
  for (int64_t half : {1, 5, 8, 10, 16, 20, 32, 64}) {
    const int32_t positions[] = {0, 1, 77, 32000};
    std::vector<float> frequencies;
    for (int64_t i = 0; i < half; ++i) {
      frequencies.push_back(std::pow(10000.0f, -float(i) / float(half)));
    }
    const Tensor cos(DType::kF32, {4, half}), sin(DType::kF32, {4, half});
    ops::rope_angles(ctx_, positions, frequencies, 1.5f, cos, sin);
    EXPECT_NEAR(cos->row<float>(2)[0], 1.5 * std::cos(77.0), 1e-6);
    EXPECT_NEAR(sin->row<float>(2)[0], 1.5 * std::sin(77.0), 1e-6);
    for (ops::RopeStyle style : {ops::RopeStyle::kHalves, ops::RopeStyle::kPairs}) {
      const Tensor x = random_tensor(random, {4, 3, 2 * half + 2});
      const Tensor expected = converted(x, DType::kF32);
      ops::rope(ctx_, x, cos, sin, style);
      ops::rope(reference_ctx_, expected, cos, sin, style);
      EXPECT_LE(difference(x, expected), 1e-6) << half;
    }
  }
}

double exact(Activation activation, double x) {
  switch (activation) {
    case Activation::kSilu:
      return x / (1.0 + std::exp(-x));
    case Activation::kGelu:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Activation::kGeluTanh:
      return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::kRelu:
      return std::max(x, 0.0);
  }
  return 0.0;
}

TEST_P(Rows, ActivationsFollowTheirFormulas) {
  const int64_t n = 40001;  // -20 to 20 in steps of a thousandth
  for (Activation activation :
       {Activation::kSilu, Activation::kGelu, Activation::kGeluTanh, Activation::kRelu}) {
    const Tensor x(DType::kF32, {1, n}), y(DType::kF32, {1, n}), up(DType::kF32, {1, n});
    for (int64_t i = 0; i < n; ++i) {
      x->as<float>()[i] = y->as<float>()[i] = static_cast<float>(i - 20000) * 1e-3f;
      up->as<float>()[i] = 2.0f;
    }
    ops::activate(ctx_, activation, y);
    const Tensor gated(DType::kF32, {1, n});
    ops::gated_activate(ctx_, activation, x, up, gated);
    for (int64_t i = 0; i < n; ++i) {
      const double expected = exact(activation, double{x->as<float>()[i]});
      ASSERT_NEAR(y->as<float>()[i], expected, 3e-7 * (1 + std::abs(expected)))
          << int(activation) << " of " << x->as<float>()[i];
      ASSERT_EQ(gated->as<float>()[i], 2.0f * y->as<float>()[i]);
    }
  }
}

TEST_P(Rows, ActivationsOfExtremes) {
  float x[] = {-1e30f, 1e30f, -88.0f, 88.0f, -104.0f, 0.0f};
  const float expected[] = {0, 1e30f, 0, 88, 0, 0};
  for (Activation activation : {Activation::kSilu, Activation::kGelu, Activation::kGeluTanh}) {
    float y[6];
    std::memcpy(y, x, sizeof(x));
    ops::activate(ctx_, activation, {y, DType::kF32, {1, 6}});
    for (int i = 0; i < 6; ++i) EXPECT_NEAR(y[i], expected[i], 1e-20) << int(activation) << i;
  }
}

TEST_P(Rows, SoftCapIsATanh) {
  const int64_t n = 4001;
  const Tensor x(DType::kF32, {1, n});
  for (int64_t i = 0; i < n; ++i) x->as<float>()[i] = static_cast<float>(i - 2000) * 0.1f;
  const Tensor y = converted(x, DType::kF32);
  ops::soft_cap(ctx_, 30.0f, y);
  for (int64_t i = 0; i < n; ++i) {
    const double expected = 30.0 * std::tanh(double{x->as<float>()[i]} / 30.0);
    ASSERT_NEAR(y->as<float>()[i], expected, 4e-7 * std::abs(expected)) << x->as<float>()[i];
  }
}

TEST_P(Rows, SumsLookUpsAndCopies) {
  Random random(3);
  for (int64_t n : kSizes) {
    const Tensor x = random_tensor(random, {4, n});
    const Tensor y = random_tensor(random, {4, n});
    const Tensor sum = converted(y, DType::kF32);
    ops::add(ctx_, x, sum);
    for (int64_t i = 0; i < 4 * n; ++i) {
      ASSERT_EQ(sum->as<float>()[i], x->as<float>()[i] + y->as<float>()[i]);
    }
    ops::scale(ctx_, -3.0f, sum);
    for (int64_t i = 0; i < 4 * n; ++i) {
      ASSERT_EQ(sum->as<float>()[i], (x->as<float>()[i] + y->as<float>()[i]) * -3.0f);
    }
    const int32_t rows[] = {3, 0, 3};
    const Tensor picked(DType::kF32, {3, n});
    ops::gather_rows(ctx_, x, rows, picked);
    for (int64_t r = 0; r < 3; ++r) {
      ASSERT_EQ(std::memcmp(picked->row<float>(r), x->row<float>(rows[r]), size_t(n) * 4), 0);
    }
    for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
      const Tensor table = converted(x, dtype);
      ops::embed(ctx_, rows, ops::weight_view(table), 2.0f, picked);
      for (int64_t r = 0; r < 3; ++r) {
        for (int64_t i = 0; i < n; ++i) {
          const float value = x->row<float>(rows[r])[i];
          const float rounded = dtype == DType::kF32   ? value
                                : dtype == DType::kF16 ? f16_to_float(f16_from_float(value))
                                                       : bf16_to_float(bf16_from_float(value));
          ASSERT_EQ(picked->row<float>(r)[i], 2.0f * rounded);
        }
      }
    }
  }
}

// Conversions must agree with tensor/dtype.h for every value, because pages and prompts meet in
// them.
TEST_P(Rows, NarrowingRoundsAsScalarsDo) {
  const RowKernels* rows[] = {&kRowsReference, &row_kernels(GetParam())};
  Random random(4);
  std::vector<float> x;
  for (int i = 0; i < 20000; ++i) {
    x.push_back(std::bit_cast<float>(static_cast<uint32_t>(random.next())));
  }
  for (float value : {0.0f, -0.0f, 65519.0f, 65520.0f, 1e-8f, 6e-8f, INFINITY, -INFINITY}) {
    x.push_back(value);
  }
  const auto n = static_cast<int64_t>(x.size());
  for (int format = 1; format < kFormats; ++format) {
    std::vector<uint16_t> y[2] = {std::vector<uint16_t>(x.size()), std::vector<uint16_t>(x.size())};
    for (int i : {0, 1}) rows[i]->narrow[format](x.data(), y[i].data(), n);
    for (size_t i = 0; i < x.size(); ++i) {
      if (std::isnan(x[i])) continue;
      ASSERT_EQ(y[1][i], y[0][i]) << x[i] << " format " << format;
    }
  }
}

// Levels are part of what a cache holds, so they are the same on every machine.
TEST_P(Rows, EightBitRowsHaveTheSameBits) {
  Random random(5);
  const RowKernels& rows = row_kernels(GetParam());
  for (int64_t n : kSizes) {
    for (const float magnitude : {1.0f, 0.0f, 1e-7f, 300.0f, 1e9f}) {
      const Tensor x = random_tensor(random, {1, n}, magnitude);
      std::vector<int8_t> levels(static_cast<size_t>(n)), expected = levels;
      const uint16_t scale = rows.narrow_i8(x->as<float>(), levels.data(), n);
      EXPECT_EQ(scale, kRowsReference.narrow_i8(x->as<float>(), expected.data(), n)) << n;
      EXPECT_EQ(levels, expected) << n;
      for (int64_t i = 0; i < n && magnitude == 1.0f; ++i) {
        const float value = static_cast<float>(levels[size_t(i)]) * f16_to_float(scale);
        EXPECT_NEAR(value, x->as<float>()[i], 0.51f * f16_to_float(scale));
      }
    }
  }
}

}  // namespace
}  // namespace hearth::backend::cpu
