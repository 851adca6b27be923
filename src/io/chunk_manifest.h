// What one version of a chunk store is made of, and its file.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "io/chunk_codec.h"

namespace hearth::io {

// Names what is stored: 3.2 is newer than 3.1.
struct ChunkVersion {
  int64_t major = 0;
  int64_t minor = 0;
  auto operator<=>(const ChunkVersion&) const = default;
  std::string name() const;
};
// "3.2.image" with ".image" is 3.2; false: it is something else.
bool parse_chunk_version(const std::string& file, const char* end, ChunkVersion& out);

struct StoredChunk {
  ChunkHash hash{};
  int32_t pack = 0;  // in the list of packs
  int64_t offset = 0;
  int32_t stored = 0;
  int32_t size = 0;
  Packing packing = Packing::kPlain;
};
struct StoredPiece {
  std::string name;
  int64_t bytes = 0;
  std::vector<int32_t> chunks;
};
struct ChunkManifest {
  std::vector<ChunkVersion> packs;
  std::vector<StoredChunk> chunks;
  std::vector<StoredPiece> pieces;
};

std::string encode_manifest(const ChunkManifest& manifest);
// Throws Error kNotFound, or kDataLoss when it is not what was written.
ChunkManifest read_manifest(const std::string& path);

}  // namespace hearth::io
