// The kernels with tiles, on a machine without AMX: its instructions are emulated. Where there is
// AMX, the tests of each op run them for real.
#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>

#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/emulated_tiles.h"
#include "backend/cpu/test_support.h"
#include "ops/linear.h"
#include "ops/quantize.h"

namespace hearth::backend::cpu {
namespace {

using ops::Weight;
using ops::WeightFormat;

class Amx : public testing::Test {
 protected:
  void SetUp() override {
    if (has_isa(Isa::kAmx)) GTEST_SKIP() << "this machine has AMX: nothing to emulate";
    if (!has_isa(Isa::kAvx512Bf16))
      GTEST_SKIP() << "no AVX512-BF16: what is not emulated is missing";
    kernels_ = static_cast<const CpuKernels&>(select_kernels(Isa::kAvx512Bf16));
    kernels_.quantized = &kQuantizedAmx;
    kernels_.linear_tiles.bf16_fast = kLinearAmx;
  }
  // No thread keeps registers after a product.
  void TearDown() override { EXPECT_EQ(EmulatedTiles::threads(), 0); }

  EmulatedTiles tiles_;
  CpuKernels kernels_;
  ThreadPool pool_{2};
  ChunkArena arena_;
  ops::Context ctx_{kernels_, pool_, arena_};
  Backend reference_{{.threads = 1, .isa_limit = Isa::kBaseline}};
  ops::Context reference_ctx_ = reference_.context();
};

TEST_F(Amx, QuantisedProductsHaveTheBitsOfTheReference) {
  Random random(31);
  const int64_t shapes[][3] = {{7, 32, 16},   {8, 33, 17},  {16, 64, 48}, {9, 100, 33},
                               {17, 288, 31}, {13, 700, 5}, {64, 96, 96}, {40, 1500, 20}};
  for (const auto& [rows, in, out] : shapes) {
    const Tensor x = random_tensor(random, {rows, in});
    const Tensor w = random_tensor(random, {out, in});
    const Tensor bias = random_tensor(random, {out});
    const Tensor y_storage = Tensor::zeros(DType::kF32, {rows, out + 3});
    const TensorView y = y_storage->slice_cols(0, out);
    const Tensor expected(DType::kF32, {rows, out});
    for (const WeightFormat format : {WeightFormat::kQ8, WeightFormat::kQ4}) {
      const Weight weight = ops::quantize(w, format, 1, "w");
      const int64_t before = EmulatedTiles::products();
      for (const TensorView& b : {TensorView(), bias.view()}) {
        ops::linear(reference_ctx_, x, weight, b, expected);
        ops::linear(ctx_, x, weight, b, y);
        ASSERT_TRUE(same_bits(y, expected))
            << to_string(format) << " [" << rows << ", " << in << "] x [" << out << "]";
      }
      EXPECT_GT(EmulatedTiles::products(), before) << rows;
    }
    for (int64_t t = 0; t < rows; ++t) {
      for (int64_t i = out; i < out + 3; ++i) ASSERT_EQ(y_storage->row<float>(t)[i], 0.0f);
    }
  }
}

TEST_F(Amx, GatedProductsHaveTheBitsOfTheirParts) {
  Random random(33);
  const int64_t rows = 40, in = 300, out = 50;
  const Tensor x = random_tensor(random, {rows, in});
  const Tensor matrix = random_tensor(random, {2 * out, in});
  const Tensor y(DType::kF32, {rows, out}), gates(DType::kF32, {rows, out});
  const Tensor ups(DType::kF32, {rows, out});
  for (const WeightFormat format : {WeightFormat::kQ8, WeightFormat::kQ4}) {
    const Weight gate = ops::quantize(matrix->slice_rows(0, out), format, 1, "gate");
    const Weight up = ops::quantize(matrix->slice_rows(out, 2 * out), format, 1, "up");
    ops::linear(ctx_, x, gate, {}, gates);
    ops::linear(ctx_, x, up, {}, ups);
    ops::gated_activate(ctx_, ops::Activation::kSilu, gates, ups, gates);
    ops::gated_linear(ctx_, x, {&gate, {}, &up, {}, ops::Activation::kSilu}, y);
    EXPECT_TRUE(same_bits(y, gates)) << to_string(format);
  }
}

// A wide product and one of extremes, where the offset is greatest.
TEST_F(Amx, QuantisedExtremes) {
  constexpr int64_t kRows = 20, kIn = 128, kOut = 32;
  for (const float sign : {1.0f, -1.0f}) {
    const Tensor x(DType::kF32, {kRows, kIn}), w(DType::kF32, {kOut, kIn});
    std::fill_n(x->as<float>(), kRows * kIn, sign);
    std::fill_n(w->as<float>(), kOut * kIn, -1.0f);
    x->row<float>(1)[40] = NAN;
    const Tensor y(DType::kF32, {kRows, kOut});
    for (const WeightFormat format : {WeightFormat::kQ8, WeightFormat::kQ4}) {
      ops::linear(ctx_, x, ops::quantize(w, format, 1, "w"), {}, y);
      EXPECT_NEAR(y->row<float>(19)[31], -sign * kIn, 0.1f) << to_string(format);
      EXPECT_TRUE(std::isnan(y->row<float>(1)[0]));
    }
  }
}

// The order of summation that linear_amx.cpp promises.
float in_order(const float* x, const uint16_t* w, int64_t in) {
  float sum = 0.0f;
  for (int64_t begin = 0; begin < in; begin += 32) {
    float chains[2] = {0.0f, 0.0f};
    for (int64_t i = begin; i < std::min(in, begin + 32); ++i) {
      const float rounded = bf16_to_float(bf16_from_float(x[i]));
      chains[i % 2] = std::fma(rounded, bf16_to_float(w[i]), chains[i % 2]);
    }
    sum += chains[0] + chains[1];
  }
  return sum;
}

TEST_F(Amx, Bf16HasItsOneOrder) {
  Random random(32);
  const int64_t shapes[][3] = {{1, 1, 1},     {1, 7, 3},    {2, 31, 5},    {3, 32, 16},
                               {5, 33, 17},   {16, 64, 48}, {17, 100, 33}, {32, 96, 70},
                               {33, 200, 35}, {70, 65, 100}};
  for (const auto& [rows, in, out] : shapes) {
    const Tensor x = random_tensor(random, {rows, in});
    const Tensor x_storage = strided_storage(x, 5);
    const Tensor w = converted(random_tensor(random, {out, in}), DType::kBF16);
    const Tensor bias = random_tensor(random, {out});
    const Tensor y_storage = Tensor::zeros(DType::kF32, {rows, out + 3});
    const TensorView y = y_storage->slice_cols(0, out);
    const Tensor expected(DType::kF32, {rows, out});
    const Weight weight = ops::weight_view(w);
    for (const TensorView& b : {TensorView(), bias.view()}) {
      ops::linear(ctx_, x_storage->slice_cols(0, in), weight, b, y);
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t o = 0; o < out; ++o) {
          const float sum = in_order(x->row<float>(r), w->row<uint16_t>(o), in);
          expected->row<float>(r)[o] = b.data == nullptr ? sum : sum + b.as<float>()[o];
        }
      }
      ASSERT_TRUE(same_bits(y, expected)) << "[" << rows << ", " << in << "] x [" << out << "]";
    }
    for (int64_t t = 0; t < rows; ++t) {
      for (int64_t i = out; i < out + 3; ++i) ASSERT_EQ(y_storage->row<float>(t)[i], 0.0f);
    }
  }
}

TEST_F(Amx, Bf16BatchInvariant) {
  Random random(33);
  const int64_t rows = 80, in = 77, out = 83;
  const Tensor x = random_tensor(random, {rows, in});
  const Tensor w = converted(random_tensor(random, {out, in}), DType::kBF16);
  const Weight weight = ops::weight_view(w);
  const Tensor whole(DType::kF32, {rows, out}), parts(DType::kF32, {rows, out});
  ops::linear(ctx_, x, weight, {}, whole);
  for (int64_t begin = 0, end; begin < rows; begin = end) {
    end = std::min<int64_t>(rows, begin + random.between(1, random.chance(0.5) ? 3 : 50));
    ops::linear(ctx_, x->slice_rows(begin, end), weight, {}, parts->slice_rows(begin, end));
  }
  EXPECT_TRUE(same_bits(parts, whole));
}

}  // namespace
}  // namespace hearth::backend::cpu
