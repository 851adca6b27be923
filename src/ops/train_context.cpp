#include "ops/train_context.h"

namespace hearth::ops {

void* Scratch::reserve(size_t bytes) {
  if (bytes > buffer_.bytes()) buffer_ = Buffer(bytes);
  return buffer_.data();
}

}  // namespace hearth::ops
