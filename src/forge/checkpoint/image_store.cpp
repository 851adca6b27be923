#include "forge/checkpoint/image_store.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <openssl/evp.h>
#include <span>
#include <sys/stat.h>
#include <unistd.h>
#include <unordered_map>
#include <zstd.h>

#include "base/error.h"
#include "forge/checkpoint/chunks.h"
#include "forge/codec/binary.h"
#include "io/file.h"

namespace hearth::forge {

// Named, not hidden: the codec finds its fields by them.
namespace images {

struct Chunk {
  std::string hash;
  int32_t pack = 0;  // in the list of packs
  int64_t offset = 0;
  int32_t stored = 0;  // as many as `size`: not packed
  int32_t size = 0;
};
struct File {
  std::string name;
  std::vector<int32_t> chunks;
};
struct Manifest {
  std::vector<std::string> packs;
  std::vector<Chunk> chunks;
  std::vector<File> files;
};

template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, Chunk>
void fields(A& a, T& v) { a(v.hash, v.pack, v.offset, v.stored, v.size); }
template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, File>
void fields(A& a, T& v) { a(v.name, v.chunks); }
template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, Manifest>
void fields(A& a, T& v) { a(v.packs, v.chunks, v.files); }

}  // namespace images

namespace {

namespace fs = std::filesystem;
using images::Chunk;
using images::File;
using images::Manifest;
using Bytes = std::span<const std::byte>;

constexpr int kLevel = 1;          // of zstd: on the way to a preemption, time counts
constexpr size_t kPacksMax = 8;    // that one image needs
constexpr size_t kImagesKept = 3;  // of a job: its server may not have heard of the newest yet
constexpr int64_t kFlushBytes = int64_t{16} << 20;  // so much is written before the disk begins
constexpr const char* kImageEnd = ".image";
constexpr const char* kPackEnd = ".pack";

std::string hash_of(Bytes bytes) {
  std::array<unsigned char, 32> out{};
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), out.data(), &size, EVP_sha256(), nullptr);
  return {reinterpret_cast<const char*>(out.data()), size};
}

struct Version {
  Epoch epoch = 0;
  int32_t number = 0;
  auto operator<=>(const Version&) const = default;
  std::string name() const { return fmt::format("{}.{}", epoch, number); }
};

// "3.2.image" is 3, 2; anything else is nothing.
bool parse_version(const std::string& name, const char* end, Version& out) {
  if (!name.ends_with(end)) return false;
  return std::sscanf(name.c_str(), "%ld.%d.", &out.epoch, &out.number) == 2 &&
         out.name() + end == name;
}

std::vector<Version> versions(const std::string& folder, const char* end) {
  std::vector<Version> out;
  std::error_code absent;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, absent)) {
    Version version;
    if (parse_version(entry.path().filename().string(), end, version)) out.push_back(version);
  }
  std::sort(out.begin(), out.end());
  return out;
}

Manifest read_manifest(const std::string& path) {
  Manifest out;
  const std::string bytes = io::read_file(path);
  codec::Reader(bytes).get(out);
  return out;
}

// The file of new chunks, written as they come.
class PackFile {
 public:
  explicit PackFile(std::string path) : path_(std::move(path)) {
    fd_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd_ < 0) fail("cannot be made");
  }
  ~PackFile() { close(fd_); }
  PackFile(const PackFile&) = delete;
  PackFile& operator=(const PackFile&) = delete;

  int64_t size() const { return size_; }
  void append(Bytes bytes) {
    for (size_t done = 0; done < bytes.size();) {
      const ssize_t n = write(fd_, bytes.data() + done, bytes.size() - done);
      if (n < 0) fail("cannot be written");
      done += static_cast<size_t>(n);
    }
    size_ += static_cast<int64_t>(bytes.size());
    // The disk works while the rest is hashed.
    if (size_ - flushed_ < kFlushBytes) return;
    sync_file_range(fd_, flushed_, size_ - flushed_, SYNC_FILE_RANGE_WRITE);
    flushed_ = size_;
  }
  void sync() {
    if (fsync(fd_) != 0) fail("cannot be forced to the disk");
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    const bool full = errno == ENOSPC;
    throw_error(ErrorCode::kIo, path_, "{}: {}{}", what, std::strerror(errno),
                full ? "; make room, or give the agents another --images" : "");
  }

  std::string path_;
  int fd_ = -1;
  int64_t size_ = 0;
  int64_t flushed_ = 0;
};

class Packer {
 public:
  // `base`: an earlier image whose chunks need not be written again.
  Packer(const std::string& folder, const std::string& name, Manifest base)
      : pack_(folder + "/" + name + kPackEnd), out_(ZSTD_compressBound(kChunkBytesMax)) {
    if (base.packs.size() < kPacksMax) {
      manifest_.packs = std::move(base.packs);
      for (Chunk& chunk : base.chunks) older_.emplace(chunk.hash, std::move(chunk));
    }
    own_ = static_cast<int32_t>(manifest_.packs.size());
    manifest_.packs.push_back(name);
    context_ = ZSTD_createCCtx();
  }
  ~Packer() { ZSTD_freeCCtx(context_); }
  Packer(const Packer&) = delete;
  Packer& operator=(const Packer&) = delete;

  void add(const std::string& name, Bytes bytes) {
    File file{name, {}};
    for (size_t at = 0; at < bytes.size();) {
      const size_t size = next_chunk(bytes.subspan(at));
      file.chunks.push_back(chunk_of(bytes.subspan(at, size)));
      at += size;
    }
    report_.bytes += static_cast<int64_t>(bytes.size());
    manifest_.files.push_back(std::move(file));
  }

  Manifest finish() {
    pack_.sync();
    drop_unused_packs();
    return std::move(manifest_);
  }
  const PackReport& report() const { return report_; }

 private:
  int32_t chunk_of(Bytes bytes) {
    std::string hash = hash_of(bytes);
    const auto next = static_cast<int32_t>(manifest_.chunks.size());
    const auto [known, fresh] = numbers_.try_emplace(hash, next);
    if (!fresh) return known->second;
    const auto old = older_.find(hash);
    manifest_.chunks.push_back(old != older_.end() ? old->second : store(bytes, std::move(hash)));
    return next;
  }

  Chunk store(Bytes bytes, std::string hash) {
    const size_t packed =
        ZSTD_compressCCtx(context_, out_.data(), out_.size(), bytes.data(), bytes.size(), kLevel);
    const bool worth = ZSTD_isError(packed) == 0U && packed < bytes.size();
    const Bytes kept = worth ? Bytes(out_).first(packed) : bytes;
    Chunk chunk{std::move(hash), own_, pack_.size(), static_cast<int32_t>(kept.size()),
                static_cast<int32_t>(bytes.size())};
    pack_.append(kept);
    report_.fresh += chunk.size;
    report_.stored += chunk.stored;
    return chunk;
  }

  // Those of the base that nothing needs any more: their images may go, and they with them.
  void drop_unused_packs() {
    std::vector<int32_t> place(manifest_.packs.size(), -1);
    std::vector<std::string> packs;
    for (Chunk& chunk : manifest_.chunks) {
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
  std::vector<std::byte> out_;
  ZSTD_CCtx* context_ = nullptr;
  Manifest manifest_;
  PackReport report_;
  int32_t own_ = 0;
  std::unordered_map<std::string, Chunk> older_;
  std::unordered_map<std::string, int32_t> numbers_;
};

// What an image needs; a damaged one needs nothing.
std::vector<std::string> packs_of(const std::string& path) {
  try {
    return read_manifest(path).packs;
  } catch (const Error&) {
    return {};
  }
}

// Only what is older than `newest`: another process may be writing a newer one.
void drop_old(const std::string& folder, const Version& newest) {
  std::vector<Version> images = versions(folder, kImageEnd);
  std::error_code ignored;
  std::vector<std::string> needed;
  for (size_t left = images.size(); const Version& version : images) {
    const std::string path = folder + "/" + version.name() + kImageEnd;
    if (left-- > kImagesKept && version < newest) {
      fs::remove(path, ignored);
      continue;
    }
    for (std::string& pack : packs_of(path)) needed.push_back(std::move(pack));
  }
  for (const Version& version : versions(folder, kPackEnd)) {
    if (version < newest && std::find(needed.begin(), needed.end(), version.name()) == needed.end())
      fs::remove(folder + "/" + version.name() + kPackEnd, ignored);
  }
}

Manifest newest_manifest(const std::string& folder) {
  const std::vector<Version> images = versions(folder, kImageEnd);
  if (images.empty()) return {};
  try {
    return read_manifest(folder + "/" + images.back().name() + kImageEnd);
  } catch (const Error&) {
    return {};  // a damaged one is no base for others
  }
}

class Unpacker {
 public:
  Unpacker(std::string folder, const Manifest& manifest)
      : folder_(std::move(folder)), manifest_(manifest) {
    for (const std::string& pack : manifest.packs)
      packs_.emplace_back(folder_ + "/" + pack + kPackEnd);
  }

  void write_file(const File& file, const std::string& to) {
    const std::string path = to + "/" + file.name;
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) throw_error(ErrorCode::kIo, path, "cannot be made: {}", std::strerror(errno));
    bool whole = true;
    for (int32_t number : file.chunks) {
      const Bytes bytes = content(manifest_.chunks.at(static_cast<size_t>(number)));
      whole = whole && write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
    }
    const std::string why = whole ? "" : std::strerror(errno);
    close(fd);
    if (!whole) throw_error(ErrorCode::kIo, path, "cannot be written: {}", why);
  }

 private:
  Bytes content(const Chunk& chunk) {
    const io::MappedFile& pack = packs_.at(static_cast<size_t>(chunk.pack));
    const auto offset = static_cast<size_t>(chunk.offset),
               stored = static_cast<size_t>(chunk.stored);
    const auto size = static_cast<size_t>(chunk.size);
    if (offset > pack.bytes().size() || stored > pack.bytes().size() - offset ||
        size > kChunkBytesMax) {
      damaged(pack, chunk);
    }
    Bytes bytes = pack.bytes().subspan(offset, stored);
    if (stored != size) {
      raw_.resize(size);
      if (ZSTD_decompress(raw_.data(), size, bytes.data(), stored) != size) damaged(pack, chunk);
      bytes = raw_;
    }
    if (hash_of(bytes) != chunk.hash) damaged(pack, chunk);
    return bytes;
  }
  [[noreturn]] static void damaged(const io::MappedFile& pack, const Chunk& chunk) {
    throw_error(ErrorCode::kDataLoss, pack.path(), "the {} bytes at {} are not what was written",
                chunk.stored, chunk.offset);
  }

  std::string folder_;
  const Manifest& manifest_;
  std::vector<io::MappedFile> packs_;
  std::vector<std::byte> raw_;
};

}  // namespace

std::string ImageStore::job_folder(JobId job) const { return fmt::format("{}/{}", folder_, job); }

PackReport ImageStore::pack(JobId job, Epoch epoch, int32_t number, const std::string& from) const {
  const std::string folder = job_folder(job);
  const Version version{epoch, number};
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw_error(ErrorCode::kIo, folder, "cannot be made: {}", failed.message());
  Packer packer(folder, version.name(), newest_manifest(folder));
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& path : files) {
    if (fs::file_size(path) == 0) {
      packer.add(path.filename().string(), {});
      continue;
    }
    const io::MappedFile file(path.string());
    packer.add(path.filename().string(), file.bytes());
  }
  codec::Writer out;
  out.put(packer.finish());
  io::write_file_atomic(folder + "/" + version.name() + kImageEnd, out.bytes());
  drop_old(folder, version);
  return packer.report();
}

void ImageStore::unpack(JobId job, Epoch epoch, int32_t number, const std::string& to) const {
  const std::string folder = job_folder(job);
  const std::string path = folder + "/" + Version{epoch, number}.name() + kImageEnd;
  if (!io::file_exists(path)) {
    throw_error(
        ErrorCode::kNotFound, path,
        "there is no such image: give the agents of all nodes the same --images, on storage "
        "that they share");
  }
  const Manifest manifest = read_manifest(path);
  Unpacker unpacker(folder, manifest);
  for (const File& file : manifest.files) unpacker.write_file(file, to);
}

void ImageStore::forget(JobId job) const {
  std::error_code ignored;
  fs::remove_all(job_folder(job), ignored);
}

std::vector<JobId> ImageStore::jobs() const {
  std::vector<JobId> out;
  std::error_code absent;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_, absent)) {
    const std::string name = entry.path().filename().string();
    const bool number = !name.empty() && name.find_first_not_of("0123456789") == std::string::npos;
    if (number && entry.is_directory(absent)) out.push_back(std::atoi(name.c_str()));
  }
  return out;
}

}  // namespace hearth::forge
