// How a chunk lies on disk: as it is, packed, or packed with the bytes of its 32-bit words apart.
// Each object is used by one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace hearth::io {

// Words are f32 numbers, say: their high bytes are much alike, their low ones are noise, and mixed
// nothing of that is seen.
enum class Content : uint8_t { kBytes, kWords };

enum class Packing : uint8_t { kPlain = 0, kPacked = 1, kWordsPacked = 2 };

using ChunkHash = std::array<std::byte, 32>;  // SHA-256
ChunkHash hash_chunk(std::span<const std::byte> chunk);

class ChunkPacker {
 public:
  ChunkPacker();
  ~ChunkPacker();
  ChunkPacker(const ChunkPacker&) = delete;
  ChunkPacker& operator=(const ChunkPacker&) = delete;

  // Appends what is kept of a chunk that is packed; a plain one is kept as it is. What a sample
  // finds to be noise is not tried.
  Packing append(std::span<const std::byte> chunk, Content content, std::vector<std::byte>& out);

 private:
  struct Context;
  bool append_planes(std::vector<std::byte>& out);

  std::unique_ptr<Context> context_;
  std::vector<std::byte> apart_;
};

// What was kept of a chunk of `size` bytes, as it was; lives as long as `kept` and until the next
// call. Empty: that is no such chunk.
class ChunkUnpacker {
 public:
  std::span<const std::byte> read(std::span<const std::byte> kept, Packing packing, size_t size);

 private:
  std::vector<std::byte> raw_, whole_;
};

}  // namespace hearth::io
