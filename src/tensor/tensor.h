// A tensor is a view (pointer, type, shape) over memory that somebody else owns, or an owning
// Buffer.
//
// Views are plain values: cheap to copy, no reference counts. Rows are contiguous; dimension 0 may
// have a stride of its own, so that a column range of a fused projection is a view as well.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "base/check.h"
#include "tensor/dtype.h"

namespace hearth {

// Up to four dimensions, outermost first.
class Shape {
 public:
  static constexpr int kMaxRank = 4;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims);
  int rank() const { return rank_; }
  int64_t operator[](int i) const {
    DCHECK(i >= 0 && i < rank_);
    return dims_[static_cast<size_t>(i)];
  }
  // Product of dims[from..rank).
  int64_t count(int from = 0) const;
  bool operator==(const Shape& other) const;
  std::string to_string() const;  // "[2, 3]"

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

struct TensorView {
  void* data = nullptr;
  DType dtype = DType::kF32;
  Shape shape;
  int64_t row_stride = 0;  // elements from one index of dimension 0 to the next; >= shape.count(1)

  TensorView() = default;
  TensorView(void* data, DType dtype, Shape shape);
  TensorView(void* data, DType dtype, Shape shape, int64_t row_stride);

  bool empty() const { return data == nullptr; }
  bool contiguous() const { return shape.rank() == 0 || row_stride == shape.count(1); }
  int64_t rows() const { return shape.rank() == 0 ? 1 : shape[0]; }
  int64_t cols() const { return shape.count(1); }

  template <typename T>
  T* as() const {
    DCHECK(sizeof(T) == dtype_bytes(dtype));
    return static_cast<T*>(data);
  }
  template <typename T>
  T* row(int64_t i) const {
    return as<T>() + i * row_stride;
  }
  // Rows [begin, end) of dimension 0.
  TensorView slice_rows(int64_t begin, int64_t end) const;
  // Columns [begin, end) of a rank-2 tensor.
  TensorView slice_cols(int64_t begin, int64_t end) const;
  // Same elements, other shape; requires contiguous().
  TensorView reshape(Shape new_shape) const;
};

// Owns 64-byte aligned memory; large ones ask the kernel for huge pages. Movable, not copyable.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(
      size_t bytes);  // contents undefined; throws Error{kResourceExhausted} when memory is out
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

// An owning tensor: a Buffer and the view of it.
class Tensor {
 public:
  Tensor() = default;
  Tensor(DType dtype, Shape shape);
  static Tensor zeros(DType dtype, Shape shape);
  const TensorView& view() const { return view_; }
  operator const TensorView&() const {
    return view_;
  }  // NOLINT: a tensor is usable wherever a view is
  const TensorView* operator->() const { return &view_; }

 private:
  Buffer buffer_;
  TensorView view_;
};

}  // namespace hearth
