#include "io/chunks.h"

#include <algorithm>

#include "io/checksum.h"

namespace hearth::io {
namespace {

constexpr size_t kPagesMin = 4;
constexpr uint64_t kStopMask = 15;  // one page in sixteen

}  // namespace

size_t next_chunk(std::span<const std::byte> rest) {
  const size_t longest = std::min(rest.size(), kChunkBytesMax);
  for (size_t end = kPagesMin * kPageBytes; end < longest; end += kPageBytes) {
    const std::span<const std::byte> page = rest.subspan(end - kPageBytes, kPageBytes);
    if ((checksum(page) & kStopMask) == 0) return end;
  }
  return longest;
}

}  // namespace hearth::io
