// Where one chunk of some bytes ends and the next begins.
#pragma once

#include <cstddef>
#include <span>

namespace hearth::io {

constexpr size_t kPageBytes = 4096;
constexpr size_t kChunkBytesMax = 64 * kPageBytes;

// The size of the chunk at the beginning of `rest`: whole pages up to one whose content says stop,
// on the average sixteen.
size_t next_chunk(std::span<const std::byte> rest);

}  // namespace hearth::io
