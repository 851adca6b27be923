#include "io/chunk_manifest.h"

#include <cstdio>
#include <cstring>
#include <fmt/format.h>
#include <string_view>
#include <type_traits>

#include "base/error.h"
#include "io/checksum.h"
#include "io/chunks.h"
#include "io/file.h"

namespace hearth::io {
namespace {

constexpr std::string_view kManifestMark = "HCHUNKS1";

// Numbers as they lie in memory; a list is its length and its items.
class ManifestWriter {
 public:
  template <typename T>
  requires std::is_trivially_copyable_v<T>
  void put(const T& value) { out_.append(reinterpret_cast<const char*>(&value), sizeof value); }
  void put(const std::string& text) { put(text.size()), out_ += text; }
  template <typename T>
  void put(const std::vector<T>& list) {
    put(list.size());
    for (const T& item : list) put(item);
  }
  void put(const StoredChunk& c) {
    put(c.hash), put(c.pack), put(c.offset), put(c.stored), put(c.size), put(c.packing);
  }
  void put(const StoredPiece& piece) { put(piece.name), put(piece.bytes), put(piece.chunks); }

  std::string finish() {
    put(checksum(as_bytes(out_)));
    return std::move(out_);
  }

 private:
  std::string out_{kManifestMark};
};

class ManifestReader {
 public:
  ManifestReader(std::string_view rest, const std::string& path) : rest_(rest), path_(path) {}

  template <typename T>
  requires std::is_trivially_copyable_v<T>
  void get(T& value) { std::memcpy(&value, take(sizeof value).data(), sizeof value); }
  void get(std::string& text) { text = take(length()); }
  template <typename T>
  void get(std::vector<T>& list) {
    list.resize(length());
    for (T& item : list) get(item);
  }
  void get(StoredChunk& c) {
    get(c.hash), get(c.pack), get(c.offset), get(c.stored), get(c.size), get(c.packing);
  }
  void get(StoredPiece& piece) { get(piece.name), get(piece.bytes), get(piece.chunks); }

  [[noreturn]] void fail() const {
    throw_error(ErrorCode::kDataLoss, path_, "is not a list of chunks as it was written");
  }
  bool at_end() const { return rest_.empty(); }

 private:
  // Of something whose items take a byte at least.
  size_t length() {
    size_t out = 0;
    get(out);
    if (out > rest_.size()) fail();
    return out;
  }
  std::string_view take(size_t size) {
    if (size > rest_.size()) fail();
    const std::string_view out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }

  std::string_view rest_;
  const std::string& path_;
};

bool holds_together(const ChunkManifest& manifest) {
  for (const StoredChunk& chunk : manifest.chunks) {
    const bool known = chunk.pack >= 0 && static_cast<size_t>(chunk.pack) < manifest.packs.size();
    const bool sized = chunk.size > 0 && static_cast<size_t>(chunk.size) <= kChunkBytesMax;
    if (!known || !sized || chunk.offset < 0 || chunk.stored < 0) return false;
  }
  for (const StoredPiece& piece : manifest.pieces) {
    int64_t bytes = 0;
    for (const int32_t number : piece.chunks) {
      if (number < 0 || static_cast<size_t>(number) >= manifest.chunks.size()) return false;
      bytes += manifest.chunks[static_cast<size_t>(number)].size;
    }
    if (bytes != piece.bytes) return false;
  }
  return true;
}

}  // namespace

std::string ChunkVersion::name() const { return fmt::format("{}.{}", major, minor); }

bool parse_chunk_version(const std::string& file, const char* end, ChunkVersion& out) {
  if (!file.ends_with(end)) return false;
  return std::sscanf(file.c_str(), "%ld.%ld.", &out.major, &out.minor) == 2 &&
         out.name() + end == file;
}

std::string encode_manifest(const ChunkManifest& manifest) {
  ManifestWriter out;
  out.put(manifest.packs), out.put(manifest.chunks), out.put(manifest.pieces);
  return out.finish();
}

ChunkManifest read_manifest(const std::string& path) {
  const std::string bytes = read_file(path);
  ManifestReader nothing({}, path);
  const size_t around = kManifestMark.size() + sizeof(uint64_t);
  if (bytes.size() < around || !bytes.starts_with(kManifestMark)) nothing.fail();
  uint64_t sum = 0;
  const std::string_view summed(bytes.data(), bytes.size() - sizeof sum);
  std::memcpy(&sum, summed.data() + summed.size(), sizeof sum);
  if (checksum(as_bytes(summed)) != sum) nothing.fail();
  ManifestReader in(summed.substr(kManifestMark.size()), path);
  ChunkManifest out;
  in.get(out.packs), in.get(out.chunks), in.get(out.pieces);
  if (!in.at_end() || !holds_together(out)) in.fail();
  return out;
}

}  // namespace hearth::io
