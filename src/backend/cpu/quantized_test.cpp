// Quantised products: every variant gives the bits of the reference.
#include <gtest/gtest.h>

#include "backend/cpu/test_support.h"
#include "ops/linear.h"
#include "ops/quantize.h"

namespace hearth::backend::cpu {
namespace {

using ops::Weight;
using ops::WeightFormat;

constexpr WeightFormat kQuantized[] = {WeightFormat::kQ8, WeightFormat::kQ4};

class Quantized : public EveryIsa {};
INSTANTIATE_TEST_SUITE_P(Cpu, Quantized, testing::ValuesIn(isa_levels()), isa_name);

TEST_P(Quantized, HasTheBitsOfTheReference) {
  Random random(11);
  const int64_t shapes[][3] = {{1, 1, 1},    {1, 32, 16},    {2, 31, 5},   {3, 33, 17},
                               {5, 64, 48},  {6, 288, 31},   {7, 100, 33}, {1, 1000, 130},
                               {4, 2048, 3}, {13, 1500, 70}, {64, 96, 96}, {130, 320, 65}};
  for (const auto& [rows, in, out] : shapes) {
    const Tensor x = random_tensor(random, {rows, in});
    const Tensor w = random_tensor(random, {out, in});
    const Tensor bias = random_tensor(random, {out});
    const Tensor x_storage = strided_storage(x, 5);
    const Tensor y_storage = Tensor::zeros(DType::kF32, {rows, out + 3});
    const TensorView y = y_storage->slice_cols(0, out);
    const Tensor expected(DType::kF32, {rows, out});
    for (WeightFormat format : kQuantized) {
      const Weight weight = ops::quantize(w, format, 1, "w");
      for (const TensorView& b : {TensorView(), bias.view()}) {
        ops::linear(reference_ctx_, x, weight, b, expected);
        ops::linear(ctx_, x_storage->slice_cols(0, in), weight, b, y);
        ASSERT_TRUE(same_bits(y, expected))
            << to_string(format) << " [" << rows << ", " << in << "] x [" << out << "]";
      }
    }
    for (int64_t t = 0; t < rows; ++t) {
      for (int64_t i = out; i < out + 3; ++i) ASSERT_EQ(y_storage->row<float>(t)[i], 0.0f);
    }
  }
}

// The greatest levels on both sides, where narrow sums would overflow.
TEST_P(Quantized, ExtremesDoNotOverflow) {
  constexpr int64_t kIn = 128, kOut = 32;
  for (const float sign : {1.0f, -1.0f}) {
    const Tensor x(DType::kF32, {2, kIn}), w(DType::kF32, {kOut, kIn});
    std::fill_n(x->as<float>(), 2 * kIn, sign);
    std::fill_n(w->as<float>(), kOut * kIn, -1.0f);
    const Tensor y(DType::kF32, {2, kOut});
    for (WeightFormat format : kQuantized) {
      ops::linear(ctx_, x, ops::quantize(w, format, 1, "w"), {}, y);
      EXPECT_NEAR(y->as<float>()[0], -sign * kIn, 0.1f) << to_string(format);
      EXPECT_EQ(y->as<float>()[0], y->row<float>(1)[kOut - 1]);
    }
  }
}

TEST_P(Quantized, IsCloseToTheWeights) {
  Random random(12);
  const Tensor x = random_tensor(random, {9, 1024});
  const Tensor w = random_tensor(random, {100, 1024}, 1.0f / 32);
  const Tensor y(DType::kF32, {9, 100}), exact(DType::kF32, {9, 100});
  ops::linear(reference_ctx_, x, ops::weight_view(w), {}, exact);
  ops::linear(ctx_, x, ops::quantize(w, WeightFormat::kQ8, 2, "w"), {}, y);
  EXPECT_LE(difference(y, exact), 0.05);
  ops::linear(ctx_, x, ops::quantize(w, WeightFormat::kQ4, 2, "w"), {}, y);
  EXPECT_LE(difference(y, exact), 0.5);
}

TEST_P(Quantized, NotANumberStaysOne) {
  const Tensor x = Tensor::zeros(DType::kF32, {2, 64});
  const Tensor w = Tensor::zeros(DType::kF32, {16, 64});
  w->as<float>()[0] = 1.0f;
  x->row<float>(1)[40] = NAN;
  const Tensor y(DType::kF32, {2, 16});
  for (WeightFormat format : kQuantized) {
    ops::linear(ctx_, x, ops::quantize(w, format, 1, "w"), {}, y);
    EXPECT_EQ(y->row<float>(0)[0], 0.0f);
    EXPECT_TRUE(std::isnan(y->row<float>(1)[0])) << to_string(format);
  }
}

TEST_P(Quantized, BatchInvariant) {
  Random random(13);
  const int64_t rows = 150, in = 1333, out = 211;
  const Tensor x = random_tensor(random, {rows, in});
  const Tensor w = random_tensor(random, {out, in});
  const Tensor bias = random_tensor(random, {out});
  for (WeightFormat format : kQuantized) {
    const Weight weight = ops::quantize(w, format, 1, "w");
    const Tensor whole(DType::kF32, {rows, out});
    ops::linear(ctx_, x, weight, bias, whole);
    for (int threads = 1; threads <= 4; ++threads) {
      Backend backend({.threads = threads, .isa_limit = GetParam()});
      ops::Context ctx = backend.context();
      const Tensor parts(DType::kF32, {rows, out});
      for (int64_t begin = 0, end; begin < rows; begin = end) {
        end = std::min<int64_t>(rows, begin + random.between(1, random.chance(0.5) ? 8 : 90));
        ops::linear(ctx, x->slice_rows(begin, end), weight, bias, parts->slice_rows(begin, end));
      }
      ASSERT_TRUE(same_bits(parts, whole)) << to_string(format) << " threads " << threads;
    }
  }
}

}  // namespace
}  // namespace hearth::backend::cpu
