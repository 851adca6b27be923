#include "forge/checkpoint/chunks.h"

#include <algorithm>

#include "io/checksum.h"

namespace hearth::forge {
namespace {

constexpr size_t kPagesMin = 4;
constexpr uint64_t kStopMask = 15;  // one page in sixteen

}  // namespace

size_t next_chunk(std::span<const std::byte> rest) {
  const size_t longest = std::min(rest.size(), kChunkBytesMax);
  for (size_t end = kPageBytes; end < longest; end += kPageBytes) {
    const bool stop = (io::checksum(rest.subspan(end - kPageBytes, kPageBytes)) & kStopMask) == 0;
    if (stop && end >= kPagesMin * kPageBytes) return end;
  }
  return longest;
}

}  // namespace hearth::forge
