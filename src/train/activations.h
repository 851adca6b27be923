// Memory of one pass over a batch: filled from the front, laid out again for each batch, grown only
// when a batch is larger than all before.
#pragma once

#include "tensor/tensor.h"

namespace hearth::train {

class ActivationPool {
 public:
  TensorView take(DType dtype, Shape shape) {
    const size_t bytes = static_cast<size_t>(shape.count()) * dtype_bytes(dtype);
    char* at = buffer_.data() == nullptr ? nullptr : static_cast<char*>(buffer_.data()) + used_;
    used_ += (bytes + 63) / 64 * 64;
    return {at, dtype, shape};
  }
  // Runs `plan` (which takes tensors) twice: once to count, then with memory behind the tensors.
  template <typename Plan>
  void lay_out(const Plan& plan) {
    used_ = 0;
    plan();
    if (used_ > buffer_.bytes()) buffer_ = Buffer(used_);
    used_ = 0;
    plan();
  }
  size_t bytes() const { return buffer_.bytes(); }

 private:
  Buffer buffer_;
  size_t used_ = 0;
};

}  // namespace hearth::train
