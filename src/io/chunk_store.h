// Versions of something large in a folder, cut into chunks of which each is kept once.
//
//   MAJOR.MINOR.image   its pieces as lists of chunks; here once the pack is whole
//   MAJOR.MINOR.pack    the chunks that the version it was based on did not have
//
// Chunks end where their content says so, at pages of 4 KiB, and every 8 MiB, so that several
// threads may cut: memory that moved by some pages is still the same chunks but for one in a
// hundred. They are known by SHA-256 and packed with zstd where that is worth it. A version may
// need packs of earlier ones, but of few: from time to time one is written whole. Of one folder
// only one process writes at a time.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "io/chunk_manifest.h"

namespace hearth::io {

// kLater: whoever reads finds it now, a loss of power takes it until settle() has returned. The
// disk is left alone till then: what others force to it would have to wait for this.
enum class Durable { kNow, kLater };

struct ChunkPiece {
  std::string name;
  std::span<const std::byte> bytes;
  Content content = Content::kBytes;
};

struct ChunkReport {
  int64_t bytes = 0;        // of all pieces
  int64_t fresh = 0;        // of chunks that were new
  int64_t stored = 0;       // what those take on disk
  double pack_seconds = 0;  // to cut, hash, pack and hand over to the system
  double disk_seconds = 0;  // to force it to the disk
};

class ChunkStore {
 public:
  // `threads`: that work in put() and read(), the caller's own included.
  ChunkStore(std::string folder, int threads) : folder_(std::move(folder)), threads_(threads) {}

  // `base`: a version that is whole; its chunks need not be written again. Throws Error kIo when
  // the disk is full, say.
  ChunkReport put(const ChunkVersion& version, std::span<const ChunkPiece> pieces,
                  const std::optional<ChunkVersion>& base, Durable durable) const;
  // Forces a version and what it needs to the disk, gently.
  void settle(const ChunkVersion& version) const;

  // Throws Error kNotFound, or kDataLoss.
  ChunkManifest manifest(const ChunkVersion& version) const;
  // Every byte of the pieces, checked; by several threads, each with another part. Throws Error
  // kDataLoss when one is not what it was.
  using Sink = std::function<void(size_t piece, int64_t offset, std::span<const std::byte> bytes)>;
  void read(const ChunkManifest& manifest, const Sink& sink) const;

  std::vector<ChunkVersion> versions() const;  // ascending
  // These versions go, and the packs that no other one needs. `until`: newer packs stay, too;
  // somebody may be writing one.
  void remove(const std::set<ChunkVersion>& unwanted, const ChunkVersion& until) const;

 private:
  ChunkReport put_whole(const ChunkVersion& version, std::span<const ChunkPiece> pieces,
                        const std::optional<ChunkVersion>& base, Durable durable) const;
  std::string path(const ChunkVersion& version, const char* end) const;

  std::string folder_;
  int threads_;
};

// A number of threads for a store: those of the machine, but not very many.
int chunk_threads();

}  // namespace hearth::io
