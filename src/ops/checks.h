// Argument checks that the ops share. A wrong argument is a bug of the caller, so they are CHECKs.
#pragma once

#include "base/check.h"
#include "ops/kernels.h"
#include "tensor/tensor.h"

namespace hearth::ops {

// `name` is the op and its argument: "linear x".
inline void check_matrix(const char* name, const TensorView& t) {
  CHECK(t.dtype == DType::kF32, "{}: expected f32, came {}", name, to_string(t.dtype));
  CHECK(t.shape.rank() == 2, "{}: expected [rows, n], came {}", name, t.shape.to_string());
  CHECK(t.row_stride >= t.shape[1], "{}: row stride {} below {}", name, t.row_stride, t.shape[1]);
  CHECK(t.data != nullptr || t.shape.count() == 0, "{}: no data", name);
}

inline void check_matrix(const char* name, const TensorView& t, int64_t rows, int64_t n) {
  check_matrix(name, t);
  CHECK(t.shape[0] == rows && t.shape[1] == n, "{}: expected [{}, {}], came {}", name, rows, n,
        t.shape.to_string());
}

inline void check_vector(const char* name, const TensorView& t, int64_t n) {
  CHECK(t.dtype == DType::kF32 && t.shape.rank() == 1 && t.shape[0] == n && t.data != nullptr,
        "{}: expected f32 [{}], came {} {}", name, n, to_string(t.dtype), t.shape.to_string());
}

inline void check_optional_vector(const char* name, const TensorView& t, int64_t n) {
  if (!t.empty()) check_vector(name, t, n);
}

// The entry of the table, or a stop that says which backend lacks it.
template <typename Function>
Function* kernel(Function* entry, const char* op, const Kernels& kernels) {
  CHECK(entry != nullptr, "{}: no kernel in backend {}", op, kernels.name);
  return entry;
}

}  // namespace hearth::ops
