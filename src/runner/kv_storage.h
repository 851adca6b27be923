// The memory of the KV cache: pages of all layers in one map that the kernel fills with zeros when
// a block is first used, so that blocks that nobody needed cost nothing.
//
// Filling takes time, a tenth of a millisecond for two megabytes and a hundred times that where a
// host has to find them: a step would wait for it. So a thread of the lowest priority has the
// memory of the next blocks filled before they are asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

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
  // Blocks [0, blocks) are in use, or have been: the next ones are made ready.
  void reach(int32_t blocks);

 private:
  class Filler;

  void* map_ = nullptr;
  size_t bytes_ = 0;
  nn::KvCache cache_;
  std::unique_ptr<Filler> filler_;
};

}  // namespace hearth::runner
