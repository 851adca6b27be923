#include "tensor/tensor.h"

#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <utility>

#include "base/error.h"

namespace hearth {
namespace {

constexpr size_t kAlignBytes = 64;
constexpr size_t kHugePageBytes = size_t{2} << 20;

size_t round_up(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

}  // namespace

Shape::Shape(std::initializer_list<int64_t> dims) : rank_(static_cast<int>(dims.size())) {
  CHECK(rank_ <= kMaxRank, "rank {}", rank_);
  size_t i = 0;
  for (int64_t dim : dims) dims_[i++] = dim;
}

int64_t Shape::count(int from) const {
  int64_t product = 1;
  for (int i = from; i < rank_; ++i) product *= dims_[static_cast<size_t>(i)];
  return product;
}

bool Shape::operator==(const Shape& other) const {
  return rank_ == other.rank_ && dims_ == other.dims_;
}

std::string Shape::to_string() const {
  std::string text = "[";
  for (int i = 0; i < rank_; ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(dims_[static_cast<size_t>(i)]);
  }
  return text + "]";
}

TensorView::TensorView(void* d, DType t, Shape s)
    : data(d), dtype(t), shape(s), row_stride(s.count(1)) {}

TensorView::TensorView(void* d, DType t, Shape s, int64_t stride)
    : data(d), dtype(t), shape(s), row_stride(stride) {}

TensorView TensorView::slice_rows(int64_t begin, int64_t end) const {
  CHECK(begin >= 0 && begin <= end && end <= rows(), "rows [{}, {}) of {}", begin, end, rows());
  TensorView out = *this;
  out.data =
      static_cast<char*>(data) + static_cast<size_t>(begin * row_stride) * dtype_bytes(dtype);
  switch (shape.rank()) {
    case 1:
      out.shape = {end - begin};
      break;
    case 2:
      out.shape = {end - begin, shape[1]};
      break;
    case 3:
      out.shape = {end - begin, shape[1], shape[2]};
      break;
    default:
      out.shape = {end - begin, shape[1], shape[2], shape[3]};
  }
  return out;
}

TensorView TensorView::slice_cols(int64_t begin, int64_t end) const {
  CHECK(shape.rank() == 2 && begin >= 0 && begin <= end && end <= shape[1], "cols [{}, {}) of {}",
        begin, end, shape.to_string());
  return {static_cast<char*>(data) + static_cast<size_t>(begin) * dtype_bytes(dtype),
          dtype,
          {shape[0], end - begin},
          row_stride};
}

TensorView TensorView::reshape(Shape new_shape) const {
  CHECK(contiguous() && new_shape.count() == shape.count(), "{} as {}", shape.to_string(),
        new_shape.to_string());
  return {data, dtype, new_shape};
}

Buffer::Buffer(size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  const size_t align = bytes >= kHugePageBytes ? kHugePageBytes : kAlignBytes;
  data_ = std::aligned_alloc(align, round_up(bytes, align));
  if (data_ == nullptr) {
    throw_error(ErrorCode::kResourceExhausted, "memory", "could not allocate {} bytes", bytes);
  }
  // Whole ones only: the rest of the last would be memory that nobody uses.
  if (align == kHugePageBytes) madvise(data_, bytes / align * align, MADV_HUGEPAGE);
}

Buffer::~Buffer() { std::free(data_); }

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Tensor::Tensor(DType dtype, Shape shape)
    : buffer_(static_cast<size_t>(shape.count()) * dtype_bytes(dtype)),
      view_(buffer_.data(), dtype, shape) {}

Tensor Tensor::zeros(DType dtype, Shape shape) {
  Tensor tensor(dtype, shape);
  if (tensor.buffer_.bytes() > 0) std::memset(tensor.buffer_.data(), 0, tensor.buffer_.bytes());
  return tensor;
}

}  // namespace hearth
