#include "io/file.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "base/error.h"

namespace hearth::io {
namespace {

[[noreturn]] void throw_errno(const std::string& path, const char* doing) {
  const int error = errno;
  const bool full = error == ENOSPC || error == EDQUOT;
  throw_error(error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo, path, "could not {}: {}{}",
              doing, std::strerror(error), full ? "; free some space and try again" : "");
}

class Descriptor {
 public:
  Descriptor(const std::string& path, int flags, mode_t mode = 0)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {
    if (fd_ < 0) throw_errno(path, "open");
  }
  ~Descriptor() { ::close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

size_t regular_size(const Descriptor& file, const std::string& path) {
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) throw_errno(path, "stat");
  if (!S_ISREG(info.st_mode))
    throw_error(ErrorCode::kIo, path, "expected a file, found a folder or device");
  return static_cast<size_t>(info.st_size);
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

void write_all(int file, const std::string& path, std::string_view contents) {
  while (!contents.empty()) {
    const ssize_t written = ::write(file, contents.data(), contents.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_errno(path, "write");
    contents.remove_prefix(static_cast<size_t>(written));
  }
}

constexpr size_t kPartBytes = size_t{4} << 10;  // of a file that does not say its size
constexpr size_t kHugePageBytes = size_t{2} << 20;

bool has_huge_pages() {
  constexpr const char* kSwitch = "/sys/kernel/mm/transparent_hugepage/enabled";
  return file_exists(kSwitch) && read_file(kSwitch).find("[never]") == std::string::npos;
}

// Room for copies of so many bytes in huge pages; takes memory only where something is written.
class CopyMap {
 public:
  explicit CopyMap(size_t bytes) : bytes_(bytes + kHugePageBytes) {
    map_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map_ == MAP_FAILED) return;
    const auto address = reinterpret_cast<uintptr_t>(map_);
    pages_ = (address + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
    ::madvise(reinterpret_cast<void*>(pages_), bytes, MADV_HUGEPAGE);
  }
  ~CopyMap() {
    if (map_ != MAP_FAILED) ::munmap(map_, bytes_);
  }
  CopyMap(const CopyMap&) = delete;
  CopyMap& operator=(const CopyMap&) = delete;

  // Copies the huge page at from + offset and puts the copy there; false: that could not be done.
  // What was moved leaves an empty place here, which nobody else's map can take.
  bool move(std::byte* from, size_t offset) const {
    if (map_ == MAP_FAILED) return false;
    auto* copy = reinterpret_cast<std::byte*>(pages_ + offset);
    std::memcpy(copy, from + offset, kHugePageBytes);
    if (::mremap(copy, kHugePageBytes, kHugePageBytes,
                 MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, from + offset) == MAP_FAILED) {
      return false;
    }
    ::mprotect(from + offset, kHugePageBytes, PROT_READ);
    return true;
  }

 private:
  size_t bytes_;
  void* map_ = MAP_FAILED;
  uintptr_t pages_ = 0;
};

}  // namespace

bool file_exists(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0;
}

std::string read_file(const std::string& path, size_t bytes_max) {
  const Descriptor file(path, O_RDONLY);
  const size_t size = regular_size(file, path);
  if (size > bytes_max) {
    throw_error(ErrorCode::kTooLarge, path, "{} bytes are over the limit of {}", size, bytes_max);
  }
  // What the kernel writes while it is read, in /proc, says that it is empty.
  const bool unknown = size == 0;
  std::string contents(unknown ? kPartBytes : size, '\0');
  size_t filled = 0;
  while (filled < contents.size()) {
    const ssize_t got = ::read(file.get(), contents.data() + filled, contents.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno(path, "read");
    if (got == 0) break;
    filled += static_cast<size_t>(got);
    if (unknown && filled > bytes_max)
      throw_error(ErrorCode::kTooLarge, path, "is over the limit of {} bytes", bytes_max);
    if (unknown && filled == contents.size()) contents.resize(filled + kPartBytes);
  }
  contents.resize(filled);
  return contents;
}

void write_file_atomic(const std::string& path, std::string_view contents) {
  AtomicFile file(path);
  file.append(std::as_bytes(std::span(contents)));
  file.commit();
}

AtomicFile::AtomicFile(std::string path)
    : path_(std::move(path)), temporary_(path_ + ".tmp." + std::to_string(::getpid())) {
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) throw_errno(temporary_, "open");
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::append(std::span<const std::byte> bytes) {
  write_all(fd_, temporary_, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  size_ += bytes.size();
}

void AtomicFile::commit() {
  if (::fsync(fd_) != 0) throw_errno(temporary_, "sync");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) throw_errno(path_, "rename into place");
  ::close(std::exchange(fd_, -1));
  sync_folder(folder_of(path_));
}

void sync_folder(const std::string& path) {
  const Descriptor folder(path, O_RDONLY | O_DIRECTORY);
  ::fsync(folder.get());
}

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const Descriptor file(path, O_RDONLY);
  size_ = regular_size(file, path);
  if (size_ == 0) return;
  void* map = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.get(), 0);
  if (map == MAP_FAILED) throw_errno(path, "map");
  data_ = static_cast<const std::byte*>(map);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release_pages() const {
  if (data_ != nullptr && !moved_) ::madvise(const_cast<std::byte*>(data_), size_, MADV_DONTNEED);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      moved_(std::exchange(other.moved_, false)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(moved_, other.moved_);
  return *this;
}

// The copies are made in a map of their own and moved from there: one system call, before and after
// which the same bytes are at the same address.
size_t MappedFile::move_to_huge_pages(const std::stop_token& stop) {
  const auto begin = reinterpret_cast<uintptr_t>(data_);
  const uintptr_t first = (begin + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  const uintptr_t end = (begin + size_) / kHugePageBytes * kHugePageBytes;
  if (data_ == nullptr || first >= end || !has_huge_pages()) return 0;
  const CopyMap copies(end - first);
  moved_ = true;
  size_t moved = 0;
  while (first + moved < end && !stop.stop_requested() &&
         copies.move(reinterpret_cast<std::byte*>(first), moved)) {
    moved += kHugePageBytes;
  }
  return moved;
}

}  // namespace hearth::io
