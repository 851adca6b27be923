// The training kernels that low-rank adapters add, on every instruction set of this machine.
#include <cmath>
#include <gtest/gtest.h>

#include "backend/cpu/thread_pool.h"
#include "backend/cpu/train_kernels.h"
#include "base/random.h"
#include "ops/column_scale.h"
#include "ops/dropout.h"

namespace hearth::backend::cpu {
namespace {

constexpr int64_t kRows = 300, kCols = 53;

class LowRankKernels : public testing::TestWithParam<const ops::TrainKernels*> {
 protected:
  ThreadPool pool_{1};
  ops::Scratch scratch_;
  ops::TrainContext ctx_{*GetParam(), pool_, scratch_};
};

// Values that bf16 holds exactly.
Tensor whole_numbers(Random& random, DType dtype, Shape shape) {
  Tensor tensor(dtype, shape);
  for (int64_t i = 0; i < shape.count(); ++i) {
    const auto value = static_cast<float>(random.between(1, 9));
    if (dtype == DType::kF32) tensor->as<float>()[i] = value;
    if (dtype == DType::kBF16) tensor->as<uint16_t>()[i] = bf16_from_float(value);
  }
  return tensor;
}

float at(const TensorView& t, int64_t row, int64_t col) {
  return t.dtype == DType::kF32 ? t.row<float>(row)[col] : bf16_to_float(t.row<uint16_t>(row)[col]);
}

TEST_P(LowRankKernels, DropoutFollowsItsKeyAlone) {
  Random random(1);
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const Tensor x = whole_numbers(random, dtype, {kRows, kCols});
    const Tensor y(DType::kF32, {kRows, kCols});
    ops::dropout(ctx_, {x, y, 0.25f, 42});
    int64_t left_out = 0;
    // The reference table is the specification of which elements go.
    ops::TrainContext reference{*train_kernels_here().front(), pool_, scratch_};
    const Tensor same(DType::kF32, {kRows, kCols});
    ops::dropout(reference, {x, same, 0.25f, 42});
    for (int64_t t = 0; t < kRows; ++t) {
      for (int64_t i = 0; i < kCols; ++i) {
        const float got = at(y, t, i);
        EXPECT_EQ(got, at(same, t, i));
        left_out += got == 0 ? 1 : 0;
        if (got != 0) {
          EXPECT_FLOAT_EQ(got, at(x, t, i) / 0.75f);
        }
      }
    }
    const double share = static_cast<double>(left_out) / (kRows * kCols);
    EXPECT_NEAR(share, 0.25, 0.02);
    ops::dropout(ctx_, {x, x, 0.25f, 42});
    EXPECT_EQ(at(x, 7, 7) == 0, at(y, 7, 7) == 0) << "in place";
  }
}

TEST_P(LowRankKernels, ColumnsAreScaledAndSummed) {
  Random random(2);
  const Tensor factors = whole_numbers(random, DType::kF32, {kCols});
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const Tensor x = whole_numbers(random, dtype, {kRows, kCols});
    const Tensor y = whole_numbers(random, DType::kF32, {kRows, kCols});
    const Tensor sums = Tensor::zeros(DType::kF32, {kCols});
    ops::column_dots(ctx_, x, y, sums);
    std::vector<double> want(kCols);
    for (int64_t t = 0; t < kRows; ++t) {
      for (int64_t i = 0; i < kCols; ++i) want[static_cast<size_t>(i)] += at(x, t, i) * at(y, t, i);
    }
    for (int64_t i = 0; i < kCols; ++i) {
      EXPECT_EQ(sums->as<float>()[i], want[static_cast<size_t>(i)]) << i;
    }
    ops::scale_columns(ctx_, x, factors, y);
    EXPECT_EQ(at(y, 299, 52), at(x, 299, 52) * factors->as<float>()[52]);
    EXPECT_EQ(at(y, 0, 3), at(x, 0, 3) * factors->as<float>()[3]);
  }
}

INSTANTIATE_TEST_SUITE_P(Here, LowRankKernels, testing::ValuesIn(train_kernels_here()),
                         [](const auto& test) { return std::string(test.param->name); });

}  // namespace
}  // namespace hearth::backend::cpu
