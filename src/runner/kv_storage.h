// The memory of the KV cache: pages of all layers in one map that the kernel fills with zeros when
// a block is first used, so that blocks that nobody needed cost nothing.
#pragma once

#include <cstddef>
#include <cstdint>

#include "models/model.h"
#include "nn/pass.h"

namespace hearth::runner {

class KvStorage {
 public:
  // Throws Error{kResourceExhausted} naming --num-blocks when the map does not fit.
  KvStorage(const models::ModelInfo& info, int32_t num_blocks, DType dtype);
  ~KvStorage();
  KvStorage(const KvStorage&) = delete;
  KvStorage& operator=(const KvStorage&) = delete;

  nn::KvCache& cache() { return cache_; }
  size_t bytes() const { return bytes_; }

 private:
  void* map_ = nullptr;
  size_t bytes_ = 0;
  nn::KvCache cache_;
};

}  // namespace hearth::runner
