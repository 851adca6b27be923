#include "io/chunk_store.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <mutex>
#include <thread>
#include <unistd.h>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "io/chunks.h"
#include "io/file.h"

namespace hearth::io {
namespace {

namespace fs = std::filesystem;
using Bytes = std::span<const std::byte>;

constexpr size_t kSegmentBytes = size_t{8} << 20;  // what a thread takes at a time
constexpr size_t kPacksMax = 8;                    // that one version needs
constexpr int64_t kFlushBytes = int64_t{8} << 20;  // on their way to the disk at a time
constexpr int kThreadsMax = 8;
constexpr size_t kChunksAtOnce = 64;  // that a thread reads before it takes others
constexpr const char* kImageEnd = ".image";
constexpr const char* kPackEnd = ".pack";

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// `work` on each of several threads, this one included; the first thing that one of them throws is
// thrown here.
void on_threads(int count, const std::function<void()>& work) {
  std::exception_ptr failure;
  std::mutex mutex;
  const auto guarded = [&] {
    try {
      work();
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  std::vector<std::jthread> others;
  for (int i = 1; i < count; ++i) others.emplace_back(guarded);
  guarded();
  others.clear();
  if (failure) std::rethrow_exception(failure);
}

struct HashOfHash {
  size_t operator()(const ChunkHash& hash) const {
    size_t out = 0;
    std::memcpy(&out, hash.data(), sizeof out);
    return out;
  }
};

// The file of new chunks. Threads write parts of it that are theirs.
class PackFile {
 public:
  explicit PackFile(std::string path) : path_(std::move(path)) {
    fd_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd_ < 0) fail("cannot be made");
  }
  ~PackFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  PackFile(const PackFile&) = delete;
  PackFile& operator=(const PackFile&) = delete;

  void write(Bytes bytes, int64_t offset) const {
    while (!bytes.empty()) {
      const ssize_t n = pwrite(fd_, bytes.data(), bytes.size(), offset);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail("cannot be written");
      bytes = bytes.subspan(static_cast<size_t>(n)), offset += n;
    }
  }
  // The disk works while the rest is hashed.
  void begin_to_flush(int64_t offset, int64_t bytes) const {
    sync_file_range(fd_, offset, bytes, SYNC_FILE_RANGE_WRITE);
  }
  // On a network's file system this waits until it is where others see it.
  void close() {
    if (::close(std::exchange(fd_, -1)) != 0) fail("cannot be written");
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    const bool full = errno == ENOSPC || errno == EDQUOT;
    throw_error(ErrorCode::kIo, path_, "{}: {}{}", what, std::strerror(errno),
                full ? "; free some space and try again" : "");
  }

  std::string path_;
  int fd_ = -1;
};

// Forces a file to the disk part by part: what others force meanwhile waits for one part only.
void force_gently(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw_error(ErrorCode::kIo, path, "cannot be opened: {}", std::strerror(errno));
  const off_t size = lseek(fd, 0, SEEK_END);
  constexpr unsigned kAll =
      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  for (off_t at = 0; at < size; at += kFlushBytes) sync_file_range(fd, at, kFlushBytes, kAll);
  const bool forced = fsync(fd) == 0;
  const std::string why = forced ? "" : std::strerror(errno);
  ::close(fd);
  if (!forced) throw_error(ErrorCode::kIo, path, "cannot be forced to the disk: {}", why);
}

// Visible at once, on the disk later.
void put_in_place(const std::string& path, const std::string& bytes) {
  const std::string beside = path + ".new";
  PackFile file(beside);
  file.write(as_bytes(bytes), 0);
  file.close();
  if (rename(beside.c_str(), path.c_str()) != 0)
    throw_error(ErrorCode::kIo, path, "cannot be put in place: {}", std::strerror(errno));
}

// Segments are cut, hashed and packed by threads as they come, and put into the manifest in their
// order, so that a version is the same file whoever was faster.
class Putting {
 public:
  Putting(const std::string& pack_path, const ChunkVersion& version, ChunkManifest base,
          std::span<const ChunkPiece> pieces, Durable durable)
      : pack_(pack_path), pieces_(pieces), durable_(durable) {
    if (base.packs.size() < kPacksMax) {
      manifest_.packs = std::move(base.packs);
      for (StoredChunk& chunk : base.chunks) older_.emplace(chunk.hash, chunk);
    }
    own_ = static_cast<int32_t>(manifest_.packs.size());
    manifest_.packs.push_back(version);
    for (size_t piece = 0; piece < pieces.size(); ++piece) {
      const auto bytes = static_cast<int64_t>(pieces[piece].bytes.size());
      report_.bytes += bytes;
      manifest_.pieces.push_back({pieces[piece].name, bytes, {}});
      for (size_t at = 0; at < pieces[piece].bytes.size(); at += kSegmentBytes)
        segments_.push_back({piece, at});
    }
  }

  void run(int threads) {
    const int useful = static_cast<int>(std::min<size_t>(segments_.size(), 1024));
    on_threads(std::min(threads, useful), [this] { work(); });
    pack_.close();
    drop_unused_packs();
  }
  const ChunkManifest& manifest() const { return manifest_; }
  const ChunkReport& report() const { return report_; }

 private:
  struct Segment {
    size_t piece;
    size_t at;
  };
  struct Cut {
    ChunkHash hash;
    Bytes bytes;
    Packing packing = Packing::kPlain;
    size_t packed_at = 0, packed_size = 0;  // in the thread's own buffer
    Bytes kept(const std::vector<std::byte>& packed) const {
      if (packing == Packing::kPlain) return bytes;
      return Bytes(packed).subspan(packed_at, packed_size);
    }
  };
  // Bytes and where in the pack they go.
  struct Write {
    Bytes bytes;
    int64_t offset = 0;
  };

  void work() {
    ChunkPacker packer;
    std::vector<std::byte> packed;
    std::vector<Cut> cuts;
    for (;;) {
      const size_t number = next_.fetch_add(1);
      if (number >= segments_.size()) return;
      try {
        packed.clear(), cuts.clear();
        cut(segments_[number], packer, cuts, packed);
        for (const Write& write : take_turn(number, cuts, packed)) {
          pack_.write(write.bytes, write.offset);
          if (durable_ == Durable::kNow)
            pack_.begin_to_flush(write.offset, static_cast<int64_t>(write.bytes.size()));
        }
      } catch (...) {
        give_up();
        throw;
      }
    }
  }

  void cut(const Segment& segment, ChunkPacker& packer, std::vector<Cut>& cuts,
           std::vector<std::byte>& packed) const {
    const ChunkPiece& piece = pieces_[segment.piece];
    Bytes rest = piece.bytes.subspan(segment.at);
    rest = rest.first(std::min(rest.size(), kSegmentBytes));
    while (!rest.empty()) {
      const Bytes chunk = rest.first(next_chunk(rest));
      Cut one{.hash = hash_chunk(chunk), .bytes = chunk, .packed_at = packed.size()};
      if (!older_.contains(one.hash)) {
        one.packing = packer.append(chunk, piece.content, packed);
        one.packed_size = packed.size() - one.packed_at;
      }
      cuts.push_back(one);
      rest = rest.subspan(chunk.size());
    }
  }

  // Waits for the segments before this one. Two threads may have packed the same chunk: the first
  // one's is kept.
  std::vector<Write> take_turn(size_t number, const std::vector<Cut>& cuts,
                               const std::vector<std::byte>& packed) {
    std::unique_lock lock(mutex_);
    turn_.wait(lock, [&] { return turn_of_ == number || given_up_; });
    std::vector<Write> writes;
    std::vector<int32_t>& list = manifest_.pieces[segments_[number].piece].chunks;
    for (const Cut& one : cuts) {
      const auto next = static_cast<int32_t>(manifest_.chunks.size());
      const auto [known, fresh] = numbers_.try_emplace(one.hash, next);
      list.push_back(known->second);
      if (!fresh) continue;
      const auto old = older_.find(one.hash);
      manifest_.chunks.push_back(old != older_.end() ? old->second : place(one, packed, writes));
    }
    ++turn_of_;
    turn_.notify_all();
    return writes;
  }

  StoredChunk place(const Cut& one, const std::vector<std::byte>& packed,
                    std::vector<Write>& writes) {
    const Bytes kept = one.kept(packed);
    const StoredChunk out{one.hash,
                          own_,
                          size_,
                          static_cast<int32_t>(kept.size()),
                          static_cast<int32_t>(one.bytes.size()),
                          one.packing};
    if (!writes.empty() && writes.back().bytes.data() + writes.back().bytes.size() == kept.data()) {
      Bytes& before = writes.back().bytes;
      before = {before.data(), before.size() + kept.size()};
    } else {
      writes.push_back({kept, size_});
    }
    size_ += out.stored;
    report_.fresh += out.size;
    report_.stored += out.stored;
    return out;
  }

  void give_up() {
    const std::lock_guard lock(mutex_);
    given_up_ = true;
    next_ = segments_.size();
    turn_.notify_all();
  }

  // Those of the base that nothing needs any more: their versions may go, and they with them.
  void drop_unused_packs() {
    std::vector<int32_t> place(manifest_.packs.size(), -1);
    std::vector<ChunkVersion> packs;
    for (StoredChunk& chunk : manifest_.chunks) {
      int32_t& now = place[static_cast<size_t>(chunk.pack)];
      if (now < 0) {
        now = static_cast<int32_t>(packs.size());
        packs.push_back(manifest_.packs[static_cast<size_t>(chunk.pack)]);
      }
      chunk.pack = now;
    }
    manifest_.packs = std::move(packs);
  }

  PackFile pack_;
  std::span<const ChunkPiece> pieces_;
  Durable durable_;
  std::vector<Segment> segments_;
  std::unordered_map<ChunkHash, StoredChunk, HashOfHash> older_;
  int32_t own_ = 0;
  std::atomic<size_t> next_{0};
  std::mutex mutex_;  // guards what follows
  std::condition_variable turn_;
  size_t turn_of_ = 0;
  bool given_up_ = false;
  ChunkManifest manifest_;
  ChunkReport report_;
  int64_t size_ = 0;  // of the pack
  std::unordered_map<ChunkHash, int32_t, HashOfHash> numbers_;
};

// Where every chunk of every piece begins in it.
struct Placed {
  size_t piece = 0;
  int64_t offset = 0;
  int32_t chunk = 0;
};
std::vector<Placed> places_of(const ChunkManifest& manifest) {
  std::vector<Placed> out;
  for (size_t piece = 0; piece < manifest.pieces.size(); ++piece) {
    int64_t offset = 0;
    for (const int32_t chunk : manifest.pieces[piece].chunks) {
      out.push_back({piece, offset, chunk});
      offset += manifest.chunks[static_cast<size_t>(chunk)].size;
    }
  }
  return out;
}

Bytes read_chunk(const StoredChunk& chunk, const MappedFile& pack, ChunkUnpacker& unpacker) {
  const auto offset = static_cast<size_t>(chunk.offset), stored = static_cast<size_t>(chunk.stored);
  const size_t there = pack.bytes().size();
  Bytes bytes;
  if (offset <= there && stored <= there - offset) {
    bytes = unpacker.read(pack.bytes().subspan(offset, stored), chunk.packing,
                          static_cast<size_t>(chunk.size));
  }
  if (bytes.empty() || hash_chunk(bytes) != chunk.hash) {
    throw_error(ErrorCode::kDataLoss, pack.path(), "the {} bytes at {} are not what was written",
                chunk.stored, chunk.offset);
  }
  return bytes;
}

}  // namespace

int chunk_threads() {
  return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kThreadsMax);
}

std::string ChunkStore::path(const ChunkVersion& version, const char* end) const {
  return folder_ + "/" + version.name() + end;
}

ChunkReport ChunkStore::put(const ChunkVersion& version, std::span<const ChunkPiece> pieces,
                            const std::optional<ChunkVersion>& base, Durable durable) const {
  std::error_code failed;
  fs::create_directories(folder_, failed);
  if (failed) throw_error(ErrorCode::kIo, folder_, "cannot be made: {}", failed.message());
  try {
    return put_whole(version, pieces, base, durable);
  } catch (...) {
    // A full disk needs the room.
    for (const char* end : {kImageEnd, kPackEnd}) fs::remove(path(version, end), failed);
    throw;
  }
}

ChunkReport ChunkStore::put_whole(const ChunkVersion& version, std::span<const ChunkPiece> pieces,
                                  const std::optional<ChunkVersion>& base, Durable durable) const {
  const auto begin = std::chrono::steady_clock::now();
  Putting putting(path(version, kPackEnd), version, base ? manifest(*base) : ChunkManifest(),
                  pieces, durable);
  putting.run(threads_);
  ChunkReport report = putting.report();
  report.pack_seconds = seconds_since(begin);
  const std::string list = encode_manifest(putting.manifest());
  if (durable == Durable::kLater) {
    put_in_place(path(version, kImageEnd), list);
    return report;
  }
  const auto forced = std::chrono::steady_clock::now();
  for (const ChunkVersion& pack : putting.manifest().packs) force_gently(path(pack, kPackEnd));
  write_file_atomic(path(version, kImageEnd), list);
  report.disk_seconds = seconds_since(forced);
  return report;
}

void ChunkStore::settle(const ChunkVersion& version) const {
  for (const ChunkVersion& pack : manifest(version).packs) force_gently(path(pack, kPackEnd));
  force_gently(path(version, kImageEnd));
  sync_folder(folder_);
}

ChunkManifest ChunkStore::manifest(const ChunkVersion& version) const {
  return read_manifest(path(version, kImageEnd));
}

void ChunkStore::read(const ChunkManifest& manifest, const Sink& sink) const {
  std::vector<MappedFile> packs;
  for (const ChunkVersion& pack : manifest.packs) {
    if (!file_exists(path(pack, kPackEnd))) {
      throw_error(ErrorCode::kDataLoss, path(pack, kPackEnd),
                  "is not there, and a newer version needs it");
    }
    packs.emplace_back(path(pack, kPackEnd));
  }
  const std::vector<Placed> places = places_of(manifest);
  std::atomic<size_t> next{0};
  on_threads(threads_, [&] {
    ChunkUnpacker unpacker;
    for (;;) {
      const size_t first = next.fetch_add(kChunksAtOnce);
      if (first >= places.size()) return;
      const size_t last = std::min(first + kChunksAtOnce, places.size());
      for (size_t i = first; i < last; ++i) {
        const StoredChunk& chunk = manifest.chunks[static_cast<size_t>(places[i].chunk)];
        const Bytes bytes = read_chunk(chunk, packs[static_cast<size_t>(chunk.pack)], unpacker);
        sink(places[i].piece, places[i].offset, bytes);
      }
    }
  });
}

std::vector<ChunkVersion> ChunkStore::versions() const {
  std::vector<ChunkVersion> out;
  std::error_code absent;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_, absent)) {
    ChunkVersion version;
    if (parse_chunk_version(entry.path().filename().string(), kImageEnd, version))
      out.push_back(version);
  }
  std::sort(out.begin(), out.end());
  return out;
}

void ChunkStore::remove(const std::set<ChunkVersion>& unwanted, const ChunkVersion& until) const {
  std::error_code ignored;
  std::set<ChunkVersion> needed;
  for (const ChunkVersion& version : versions()) {
    if (unwanted.contains(version)) {
      fs::remove(path(version, kImageEnd), ignored);
      continue;
    }
    try {
      const ChunkManifest list = manifest(version);
      needed.insert(list.packs.begin(), list.packs.end());
    } catch (const Error&) {
      continue;  // a damaged one needs nothing
    }
  }
  std::vector<fs::path> packs;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_, ignored)) {
    ChunkVersion version;
    if (parse_chunk_version(entry.path().filename().string(), kPackEnd, version) &&
        version <= until && !needed.contains(version))
      packs.push_back(entry.path());
  }
  for (const fs::path& pack : packs) fs::remove(pack, ignored);
}

}  // namespace hearth::io
