// Argument checks that the training ops share.
#pragma once

#include "base/check.h"
#include "ops/checks.h"

namespace hearth::ops {

// Training activations are f32 or bf16; rows may be strided.
inline void check_activation(const char* name, const TensorView& t, const Shape& shape) {
  CHECK(t.dtype == DType::kF32 || t.dtype == DType::kBF16, "{}: expected f32 or bf16, came {}",
        name, to_string(t.dtype));
  CHECK(t.shape == shape, "{}: expected {}, came {}", name, shape.to_string(), t.shape.to_string());
  CHECK(t.row_stride >= t.cols(), "{}: row stride {} below {}", name, t.row_stride, t.cols());
  CHECK(t.data != nullptr || t.shape.count() == 0, "{}: no data", name);
}

inline void check_same_type(const char* name, const TensorView& t, const TensorView& like) {
  CHECK(t.dtype == like.dtype, "{}: expected {}, came {}", name, to_string(like.dtype),
        to_string(t.dtype));
}

// A tensor whose elements follow each other without gaps.
inline void check_flat(const char* name, const TensorView& t, int64_t count) {
  CHECK(t.dtype == DType::kF32 && t.contiguous() && t.shape.count() == count && t.data != nullptr,
        "{}: expected {} contiguous f32, came {} {}", name, count, to_string(t.dtype),
        t.shape.to_string());
}

}  // namespace hearth::ops
