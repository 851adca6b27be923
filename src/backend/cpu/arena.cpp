#include "backend/cpu/arena.h"

#include <algorithm>

#include "base/check.h"

namespace hearth::backend::cpu {
namespace {

constexpr size_t kAlignBytes = 64;
constexpr size_t kChunkBytesMin = size_t{1} << 20;

}  // namespace

void* ChunkArena::allocate(size_t bytes) {
  const size_t rounded = (std::max<size_t>(bytes, 1) + kAlignBytes - 1) / kAlignBytes * kAlignBytes;
  while (at_.chunk < chunks_.size() && at_.used + rounded > chunks_[at_.chunk].bytes()) {
    at_ = {at_.chunk + 1, 0};
  }
  if (at_.chunk == chunks_.size()) {
    chunks_.emplace_back(std::max({rounded, kChunkBytesMin, bytes_reserved()}));
  }
  void* memory = static_cast<char*>(chunks_[at_.chunk].data()) + at_.used;
  at_.used += rounded;
  return memory;
}

void ChunkArena::release(Mark mark) {
  CHECK(mark.chunk < at_.chunk || (mark.chunk == at_.chunk && mark.used <= at_.used),
        "released in another order than marked");
  at_ = mark;
}

void ChunkArena::reset() {
  at_ = {};
  if (chunks_.size() <= 1) return;
  const size_t bytes = bytes_reserved();
  chunks_.clear();
  chunks_.emplace_back(bytes);
}

size_t ChunkArena::bytes_reserved() const {
  size_t bytes = 0;
  for (const Buffer& chunk : chunks_) bytes += chunk.bytes();
  return bytes;
}

}  // namespace hearth::backend::cpu
