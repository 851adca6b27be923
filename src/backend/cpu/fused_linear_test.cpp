// What is done on the way into a product or out of it has the bits of doing it before and after.
#include <gtest/gtest.h>

#include "backend/cpu/test_support.h"
#include "ops/linear.h"
#include "ops/quantize.h"

namespace hearth::backend::cpu {
namespace {

using ops::WeightFormat;

class FusedLinear : public EveryIsa {
 protected:
  // Of several tiles and parts, and for the reference, which is slow and knows neither, a few.
  std::vector<int64_t> rows_to_try() const {
    if (GetParam() == Isa::kBaseline) return {1, 4};
    return {1, 4, 6, 7, 31, 70, 150};
  }
};
INSTANTIATE_TEST_SUITE_P(Cpu, FusedLinear, testing::ValuesIn(isa_levels()), isa_name);

// A random matrix in a format, and the numbers that it looks at.
struct RandomMatrix {
  RandomMatrix(Random& random, WeightFormat format, int64_t out, int64_t in)
      : stored(random_tensor(random, {out, in}, 1.0f / std::sqrt(static_cast<float>(in)))) {
    if (format == WeightFormat::kBF16) stored = converted(stored, DType::kBF16);
    weight =
        ops::quantized(format) ? ops::quantize(stored, format, 1, "w") : ops::weight_view(stored);
  }
  Tensor stored;
  ops::Weight weight;
};

// Rows as they come and rows that went wrong.
Tensor rows_with_faults(Random& random, int64_t rows, int64_t in) {
  Tensor x = random_tensor(random, {rows, in});
  if (rows > 3) {
    x->row<float>(1)[in / 2] = NAN;
    x->row<float>(2)[in - 1] = INFINITY;
    std::fill_n(x->row<float>(3), in, 0.0f);
  }
  return x;
}

constexpr WeightFormat kFormats[] = {WeightFormat::kF32, WeightFormat::kBF16, WeightFormat::kQ8,
                                     WeightFormat::kQ4};

struct NormCase {
  Tensor weight, bias;
  std::vector<ops::RowNorm> norms;
};

NormCase norms_of(Random& random, int64_t in) {
  NormCase c{random_tensor(random, {in}), random_tensor(random, {in}), {}};
  c.norms.push_back(ops::RmsNorm{c.weight, 1e-5f, 0.0f});
  c.norms.push_back(ops::RmsNorm{c.weight, 1e-6f, 1.0f});
  c.norms.push_back(ops::LayerNorm{c.weight, c.bias, 1e-5f});
  c.norms.push_back(ops::LayerNorm{});
  return c;
}

TEST_P(FusedLinear, ANormOnTheWayHasTheBitsOfNormedRows) {
  Random random(31);
  const int64_t in = 333, outs[] = {37, 300};
  const NormCase c = norms_of(random, in);
  for (const WeightFormat first : kFormats) {
    for (const WeightFormat second : {first, WeightFormat::kQ8}) {
      const RandomMatrix a(random, first, outs[0], in), b(random, second, outs[1], in);
      for (const int64_t rows : rows_to_try()) {
        const Tensor x_storage = strided_storage(rows_with_faults(random, rows, in), 5);
        const TensorView x = x_storage->slice_cols(0, in);
        for (const ops::RowNorm& norm : c.norms) {
          Tensor y[2], expected[2];
          for (int i = 0; i < 2; ++i) {
            y[i] = Tensor(DType::kF32, {rows, outs[i]});
            expected[i] = Tensor(DType::kF32, {rows, outs[i]});
          }
          ops::ArenaScope scope(ctx_.arena);
          const TensorView plain = ops::normed(ctx_, {x, norm});
          ops::linear(ctx_, plain, a.weight, {}, expected[0]);
          ops::linear(ctx_, plain, b.weight, {}, expected[1]);
          const ops::LinearOutput group[] = {{&a.weight, {}, y[0]}, {&b.weight, {}, y[1]}};
          ops::linear_group(ctx_, {x, norm}, group);
          ASSERT_TRUE(same_bits(y[0], expected[0]) && same_bits(y[1], expected[1]))
              << to_string(first) << " " << to_string(second) << " rows " << rows << " norm "
              << norm.index();
          ops::linear(ctx_, {x, norm}, a.weight, {}, y[0]);
          ASSERT_TRUE(same_bits(y[0], expected[0])) << to_string(first) << " rows " << rows;
        }
      }
    }
  }
}

TEST_P(FusedLinear, GatedHasTheBitsOfItsParts) {
  Random random(32);
  using ops::Activation;
  constexpr Activation kAll[] = {Activation::kSilu, Activation::kGelu, Activation::kGeluTanh,
                                 Activation::kRelu};
  const NormCase c = norms_of(random, 1333);
  for (const WeightFormat format : kFormats) {
    for (const auto& [in, out] : {std::pair{40, 300}, {1333, 117}, {256, 32}, {33, 7}}) {
      const RandomMatrix gate(random, format, out, in), up(random, format, out, in);
      const Tensor bias = random_tensor(random, {out});
      for (const int64_t rows : rows_to_try()) {
        const Tensor x = rows_with_faults(random, rows, in);
        const Activation activation = kAll[random.below(std::size(kAll))];
        const TensorView up_bias = random.chance(0.5) ? bias.view() : TensorView();
        const ops::LinearInput input(x, in == 1333 ? c.norms[0] : ops::RowNorm());
        const Tensor storage = Tensor::zeros(DType::kF32, {rows, out + 3});
        const TensorView y = storage->slice_cols(0, out);
        const Tensor gates(DType::kF32, {rows, out}), ups(DType::kF32, {rows, out});
        const ops::LinearOutput apart[] = {{&gate.weight, {}, gates}, {&up.weight, up_bias, ups}};
        ops::linear_group(ctx_, input, apart);
        ops::gated_activate(ctx_, activation, gates, ups, gates);
        ops::gated_linear(ctx_, input, {&gate.weight, {}, &up.weight, up_bias, activation}, y);
        ASSERT_TRUE(same_bits(y, gates))
            << to_string(format) << " [" << rows << ", " << in << "] x [" << out << "]";
        for (int64_t t = 0; t < rows; ++t) {
          for (int64_t i = out; i < out + 3; ++i) ASSERT_EQ(storage->row<float>(t)[i], 0.0f);
        }
      }
    }
  }
}

TEST_P(FusedLinear, GatedOfTwoFormats) {
  Random random(33);
  const RandomMatrix gate(random, WeightFormat::kQ4, 50, 96), up(random, WeightFormat::kQ8, 50, 96);
  const Tensor x = random_tensor(random, {9, 96});
  const Tensor y(DType::kF32, {9, 50}), gates(DType::kF32, {9, 50}), ups(DType::kF32, {9, 50});
  ops::linear(ctx_, x, gate.weight, {}, gates);
  ops::linear(ctx_, x, up.weight, {}, ups);
  ops::gated_activate(ctx_, ops::Activation::kSilu, gates, ups, gates);
  ops::gated_linear(ctx_, x, {&gate.weight, {}, &up.weight, {}, ops::Activation::kSilu}, y);
  EXPECT_TRUE(same_bits(y, gates));
}

// Rows so long that a part of them is a single tile, and several parts.
TEST_P(FusedLinear, GatedOfLongRows) {
  Random random(34);
  const int64_t in = 40000, out = 20, rows = 19;
  const RandomMatrix gate(random, WeightFormat::kQ4, out, in),
      up(random, WeightFormat::kQ4, out, in);
  const Tensor x = random_tensor(random, {rows, in});
  const Tensor y(DType::kF32, {rows, out}), gates(DType::kF32, {rows, out});
  const Tensor ups(DType::kF32, {rows, out});
  ops::linear(ctx_, x, gate.weight, {}, gates);
  ops::linear(ctx_, x, up.weight, {}, ups);
  ops::gated_activate(ctx_, ops::Activation::kSilu, gates, ups, gates);
  ops::gated_linear(ctx_, x, {&gate.weight, {}, &up.weight, {}, ops::Activation::kSilu}, y);
  EXPECT_TRUE(same_bits(y, gates));
}

TEST_P(FusedLinear, BatchInvariant) {
  Random random(35);
  const int64_t rows = rows_to_try().back(), in = 1333, out = 211;
  const NormCase c = norms_of(random, in);
  const Tensor x = random_tensor(random, {rows, in});
  for (const WeightFormat format : kFormats) {
    const RandomMatrix gate(random, format, out, in), up(random, format, out, in);
    const ops::GatedLinear gated{&gate.weight, {}, &up.weight, {}, ops::Activation::kSilu};
    const Tensor whole(DType::kF32, {rows, out});
    ops::gated_linear(ctx_, {x, c.norms[0]}, gated, whole);
    for (int threads = 1; threads <= 4; ++threads) {
      Backend backend({.threads = threads, .isa_limit = GetParam()});
      ops::Context ctx = backend.context();
      const Tensor parts(DType::kF32, {rows, out});
      for (int64_t begin = 0, end; begin < rows; begin = end) {
        end = std::min<int64_t>(rows, begin + random.between(1, random.chance(0.5) ? 8 : 90));
        ops::gated_linear(ctx, {x->slice_rows(begin, end), c.norms[0]}, gated,
                          parts->slice_rows(begin, end));
      }
      ASSERT_TRUE(same_bits(parts, whole)) << to_string(format) << " threads " << threads;
    }
  }
}

}  // namespace
}  // namespace hearth::backend::cpu
