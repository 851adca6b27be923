#include "ops/linear.h"

#include <gtest/gtest.h>

#include "backend/cpu/test_support.h"
#include "ops/quantize.h"

namespace hearth::backend::cpu {
namespace {

using ops::ComputeType;
using ops::Weight;

class Linear : public EveryIsa {};
INSTANTIATE_TEST_SUITE_P(Cpu, Linear, testing::ValuesIn(isa_levels()), isa_name);

TEST_P(Linear, KnownValues) {
  float x[] = {1, 2, 3, -1, 0, 4};
  float w[] = {1, 0, 2, 0, -1, 1};
  float b[] = {10, 20};
  float y[4];
  const Weight weight = ops::weight_view({w, DType::kF32, {2, 3}});
  ops::linear(ctx_, TensorView(x, DType::kF32, {2, 3}), weight, {b, DType::kF32, {2}},
              {y, DType::kF32, {2, 2}});
  EXPECT_EQ(std::vector<float>(y, y + 4), (std::vector<float>{17, 21, 17, 24}));
}

struct Case {
  int64_t rows, in, out;
  DType dtype;
  ComputeType compute;
  double tolerance;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  const int64_t shapes[][3] = {{1, 1, 1},      {1, 7, 3},     {2, 31, 5},    {3, 32, 16},
                               {5, 33, 17},    {6, 64, 48},   {7, 100, 19},  {1, 288, 288},
                               {1, 1000, 130}, {4, 2048, 33}, {13, 257, 70}, {64, 96, 96},
                               {65, 200, 131}, {130, 320, 65}};
  for (const auto& s : shapes) {
    all.push_back({s[0], s[1], s[2], DType::kF32, ComputeType::kAuto, 2e-6});
    all.push_back({s[0], s[1], s[2], DType::kF16, ComputeType::kAuto, 2e-6});
    all.push_back({s[0], s[1], s[2], DType::kBF16, ComputeType::kAuto, 2e-2});
    all.push_back({s[0], s[1], s[2], DType::kBF16, ComputeType::kF32, 2e-6});
  }
  return all;
}

TEST_P(Linear, AgreesWithTheReference) {
  Random random(1);
  for (const Case& c : cases()) {
    const Tensor x = random_tensor(random, {c.rows, c.in});
    const Tensor w =
        converted(random_tensor(random, {c.out, c.in}, 1.0f / std::sqrt(float(c.in))), c.dtype);
    const Tensor bias = random_tensor(random, {c.out});
    const Tensor x_storage = strided_storage(x, 5);
    const TensorView x_strided = x_storage->slice_cols(0, c.in);
    const Tensor y_storage = Tensor::zeros(DType::kF32, {c.rows, c.out + 3});
    const TensorView y = y_storage->slice_cols(0, c.out);
    const Tensor expected(DType::kF32, {c.rows, c.out});
    Weight weight = ops::weight_view(w);
    weight.compute = c.compute;
    for (const TensorView& b : {TensorView(), bias.view()}) {
      ops::linear(reference_ctx_, x, weight, b, expected);
      ops::linear(ctx_, x_strided, weight, b, y);
      EXPECT_LE(difference(y, expected), c.tolerance)
          << "[" << c.rows << ", " << c.in << "] x [" << c.out << "] " << to_string(c.dtype);
    }
    for (int64_t t = 0; t < c.rows; ++t) {
      for (int64_t i = c.out; i < c.out + 3; ++i) ASSERT_EQ(y_storage->row<float>(t)[i], 0.0f);
    }
  }
}

// bf16 arithmetic is exact products of bf16 inputs summed in f32: with inputs that are bf16 already
// it must be as close as the f32 kernels are.
TEST_P(Linear, Bf16ArithmeticOnlyRoundsInputs) {
  Random random(2);
  for (int64_t in : {5, 64, 96, 1000, 2048}) {
    Tensor x = random_tensor(random, {9, in});
    for (int64_t i = 0; i < 9 * in; ++i) {
      x->as<float>()[i] = bf16_to_float(bf16_from_float(x->as<float>()[i]));
    }
    const Tensor w =
        converted(random_tensor(random, {21, in}, 1.0f / std::sqrt(float(in))), DType::kBF16);
    const Weight weight = ops::weight_view(w);
    const Tensor y(DType::kF32, {9, 21}), expected(DType::kF32, {9, 21});
    ops::linear(reference_ctx_, x, weight, {}, expected);
    ops::linear(ctx_, x, weight, {}, y);
    EXPECT_LE(difference(y, expected), 2e-6) << in;
  }
}

// A weight in a mapped file starts at any even byte.
TEST_P(Linear, ReadsUnalignedWeights) {
  Random random(3);
  const Tensor w = converted(random_tensor(random, {40, 77}), DType::kBF16);
  const Tensor x = random_tensor(random, {3, 77});
  std::vector<char> bytes(40 * 77 * 2 + 2);
  std::memcpy(bytes.data() + 2, w->data, 40 * 77 * 2);
  const Tensor y(DType::kF32, {3, 40}), expected(DType::kF32, {3, 40});
  ops::linear(ctx_, x, ops::weight_view(w), {}, expected);
  ops::linear(ctx_, x, ops::weight_view({bytes.data() + 2, DType::kBF16, {40, 77}}), {}, y);
  EXPECT_TRUE(same_bits(y, expected));
}

// The rule of the house: a row does not know its neighbours, the cuts, or the threads.
TEST_P(Linear, BatchInvariant) {
  Random random(4);
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (ComputeType compute : {ComputeType::kAuto, ComputeType::kF32}) {
      const int64_t rows = 150, in = 333, out = 211;
      const Tensor x = random_tensor(random, {rows, in});
      const Tensor w = converted(random_tensor(random, {out, in}), dtype);
      const Tensor bias = random_tensor(random, {out});
      Weight weight = ops::weight_view(w);
      weight.compute = compute;
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
        ASSERT_TRUE(same_bits(parts, whole)) << to_string(dtype) << " threads " << threads;
      }
    }
  }
}

// What a group gives is what each gives alone, formats mixed or not.
TEST_P(Linear, AGroupHasTheBitsOfEach) {
  Random random(21);
  using ops::WeightFormat;
  const std::vector<std::vector<WeightFormat>> groups = {
      {WeightFormat::kF32, WeightFormat::kF32, WeightFormat::kF32},
      {WeightFormat::kBF16, WeightFormat::kBF16},
      {WeightFormat::kQ8, WeightFormat::kQ8, WeightFormat::kQ8},
      {WeightFormat::kQ4, WeightFormat::kQ8},
      {WeightFormat::kBF16, WeightFormat::kQ4}};
  for (const auto& formats : groups) {
    for (int64_t rows : {1, 5, 70}) {
      constexpr int64_t kIn = 100;
      const Tensor x = random_tensor(random, {rows, kIn});
      const Tensor bias = random_tensor(random, {37});
      std::vector<Tensor> stored, together, alone;
      std::vector<ops::Weight> weights;
      for (const WeightFormat format : formats) {
        const int64_t out = weights.empty() ? 37 : 300;
        stored.push_back(random_tensor(random, {out, kIn}));
        if (format == WeightFormat::kBF16) stored.back() = converted(stored.back(), DType::kBF16);
        weights.push_back(ops::quantized(format) ? ops::quantize(stored.back(), format, 1, "w")
                                                 : ops::weight_view(stored.back()));
        together.emplace_back(DType::kF32, Shape{rows, out});
        alone.emplace_back(DType::kF32, Shape{rows, out});
      }
      std::vector<ops::LinearOutput> outputs;
      for (size_t i = 0; i < weights.size(); ++i) {
        const TensorView its_bias = i == 0 ? bias.view() : TensorView();
        outputs.push_back({&weights[i], its_bias, together[i]});
        ops::linear(ctx_, x, weights[i], its_bias, alone[i]);
      }
      ops::linear_group(ctx_, x, outputs);
      for (size_t i = 0; i < weights.size(); ++i) {
        EXPECT_TRUE(same_bits(together[i], alone[i])) << to_string(formats[i]) << " rows " << rows;
      }
    }
  }
}

}  // namespace
}  // namespace hearth::backend::cpu
