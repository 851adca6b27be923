#include "runner/kv_storage.h"

#include <sys/mman.h>

#include "base/error.h"

namespace hearth::runner {

KvStorage::KvStorage(const models::ModelInfo& info, int32_t num_blocks, DType dtype) {
  const auto half = static_cast<size_t>(  // keys or values of a layer
      ops::kv_bytes(dtype, num_blocks, info.kv_heads, info.head_dim));
  bytes_ = half * 2 * static_cast<size_t>(info.layers);
  map_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map_ == MAP_FAILED) {
    throw_error(ErrorCode::kResourceExhausted, "KV cache",
                "could not map {} bytes for {} blocks; lower --num-blocks", bytes_, num_blocks);
  }
  ::madvise(map_, bytes_, MADV_HUGEPAGE);
  char* at = static_cast<char*>(map_);
  for (int64_t i = 0; i < info.layers; ++i) {
    cache_.layers.push_back(
        ops::kv_pages(at, at + half, dtype, num_blocks, info.kv_heads, info.head_dim));
    at += 2 * half;
  }
}

KvStorage::~KvStorage() { ::munmap(map_, bytes_); }

}  // namespace hearth::runner
