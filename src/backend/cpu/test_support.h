// For the tests of this folder: contexts for every instruction set of the machine, random tensors,
// comparisons.
#pragma once

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "tensor/random_tensor.h"

namespace hearth::backend::cpu {

// Every level that this machine can run, lowest first. The lowest is the reference.
inline std::vector<Isa> isa_levels() {
  std::vector<Isa> levels;
  for (Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvxVnni, Isa::kAvx512, Isa::kAvx512Vnni,
                  Isa::kAvx512Bf16, Isa::kAmx}) {
    if (has_isa(isa)) levels.push_back(isa);
  }
  return levels;
}

inline std::string isa_name(const testing::TestParamInfo<Isa>& info) {
  return to_string(info.param);
}

// A test that runs once for each instruction set of the machine.
class EveryIsa : public testing::TestWithParam<Isa> {
 protected:
  Backend backend_{{.threads = 2, .isa_limit = GetParam()}};
  ops::Context ctx_ = backend_.context();
  Backend reference_{{.threads = 2, .isa_limit = Isa::kBaseline}};
  ops::Context reference_ctx_ = reference_.context();
};

// The same numbers in another type, rounded.
inline Tensor converted(const TensorView& from, DType dtype) {
  Tensor to(dtype, from.shape);
  for (int64_t i = 0; i < from.shape.count(); ++i) {
    const float value = from.as<float>()[i];
    if (dtype == DType::kF32) {
      to->as<float>()[i] = value;
    } else {
      to->as<uint16_t>()[i] = dtype == DType::kF16 ? f16_from_float(value) : bf16_from_float(value);
    }
  }
  return to;
}

// A copy whose rows are `padding` elements apart, so that strides are tested too.
inline Tensor strided_storage(const TensorView& from, int64_t padding) {
  Tensor storage = Tensor::zeros(from.dtype, {from.rows(), from.cols() + padding});
  for (int64_t i = 0; i < from.rows(); ++i) {
    std::memcpy(storage->row<float>(i), from.row<float>(i),
                static_cast<size_t>(from.cols()) * sizeof(float));
  }
  return storage;
}

// Greatest |a - b|, relative to the root mean square of b where that is above one.
inline double difference(const TensorView& a, const TensorView& b) {
  double squares = 0.0, worst = 0.0;
  for (int64_t r = 0; r < b.rows(); ++r) {
    for (int64_t c = 0; c < b.cols(); ++c) {
      const double expected = double{b.row<float>(r)[c]};
      const double error = std::abs(double{a.row<float>(r)[c]} - expected);
      squares += expected * expected;
      worst = std::max(worst, std::isnan(error) ? INFINITY : error);
    }
  }
  const double rms =
      std::sqrt(squares / static_cast<double>(std::max<int64_t>(1, b.shape.count())));
  return worst / std::max(rms, 1.0);
}

inline bool same_bits(const TensorView& a, const TensorView& b) {
  for (int64_t r = 0; r < a.rows(); ++r) {
    if (std::memcmp(a.row<float>(r), b.row<float>(r),
                    static_cast<size_t>(a.cols()) * sizeof(float)) != 0) {
      return false;
    }
  }
  return true;
}

}  // namespace hearth::backend::cpu
