// For the tests of the training kernels: values in f64 beside tensors, and gradients by central
// differences.
#pragma once

#include <cmath>
#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "backend/cpu/thread_pool.h"
#include "backend/cpu/train_kernels.h"
#include "base/random.h"

namespace hearth::backend::cpu {

using Doubles = std::vector<double>;

inline Doubles random_values(Random& random, int64_t count, double scale = 1.0) {
  Doubles values(static_cast<size_t>(count));
  for (double& value : values) value = scale * random.normal();
  return values;
}

inline float element(const TensorView& t, int64_t row, int64_t col) {
  if (t.dtype == DType::kBF16) return bf16_to_float(t.row<uint16_t>(row)[col]);
  return t.row<float>(row)[col];
}

// A tensor holding `values` rounded to `dtype`; values become what was stored.
inline Tensor tensor_of(DType dtype, Shape shape, Doubles& values) {
  Tensor tensor(dtype, shape);
  for (size_t i = 0; i < values.size(); ++i) {
    const auto value = static_cast<float>(values[i]);
    if (dtype == DType::kBF16) {
      tensor.view().as<uint16_t>()[i] = bf16_from_float(value);
      values[i] = bf16_to_float(bf16_from_float(value));
    } else {
      tensor.view().as<float>()[i] = value;
      values[i] = value;
    }
  }
  return tensor;
}

inline void expect_near(const TensorView& got, const Doubles& want, double tolerance,
                        const std::string& what) {
  double worst = 0;
  double size = 1e-6;
  for (int64_t r = 0; r < got.rows(); ++r) {
    for (int64_t c = 0; c < got.cols(); ++c) {
      const double expected = want[static_cast<size_t>(r * got.cols() + c)];
      worst = std::max(worst, std::abs(element(got, r, c) - expected));
      size = std::max(size, std::abs(expected));
    }
  }
  EXPECT_LE(worst, tolerance * size) << what;
}

// d f / d x[i] for each i, by central differences in f64.
inline Doubles differences(Doubles x, const std::function<double(const Doubles&)>& f) {
  constexpr double kStep = 1e-5;
  Doubles gradient(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double at = x[i];
    x[i] = at + kStep;
    const double above = f(x);
    x[i] = at - kStep;
    const double below = f(x);
    x[i] = at;
    gradient[i] = (above - below) / (2 * kStep);
  }
  return gradient;
}

struct TrainCase {
  const ops::TrainKernels* kernels;
  DType dtype;
};

// A test that runs once for each table of kernels and each compute type.
class EveryTrainKernels : public testing::TestWithParam<TrainCase> {
 protected:
  EveryTrainKernels() : ctx_{*GetParam().kernels, pool_, scratch_} {}
  double tolerance() const { return GetParam().dtype == DType::kBF16 ? 2e-2 : 2e-5; }

  ThreadPool pool_{1};
  ops::Scratch scratch_;
  ops::TrainContext ctx_;
  Random random_{7};
};

inline std::vector<TrainCase> train_cases() {
  std::vector<TrainCase> list;
  for (const ops::TrainKernels* kernels : train_kernels_here()) {
    list.push_back({kernels, DType::kF32});
    list.push_back({kernels, DType::kBF16});
  }
  return list;
}

inline std::string train_case_name(const testing::TestParamInfo<TrainCase>& info) {
  return std::string(info.param.kernels->name) + "_" + to_string(info.param.dtype);
}

}  // namespace hearth::backend::cpu
