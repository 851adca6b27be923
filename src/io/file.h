// Files: whole reads, atomic writes, and read-only maps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

namespace hearth::io {

// The characters of a text as bytes; they live as long as it.
inline std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

bool file_exists(const std::string& path);

// The whole file. Throws Error kNotFound, kTooLarge (over bytes_max) or kIo, naming the path.
std::string read_file(const std::string& path, size_t bytes_max = size_t{1} << 30);

// Replaces the file in one step: a temporary beside it, fsync, rename, fsync of the folder. A
// reader or a crash sees the old contents or the new, never a part.
void write_file_atomic(const std::string& path, std::string_view contents);

// Makes renames and deletions inside a folder survive a loss of power.
void sync_folder(const std::string& path);

// The same for contents that come in parts: nothing is at `path` until commit, and a file that is
// not committed leaves nothing behind. Where the disk is full, the Error says so.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void append(std::span<const std::byte> bytes);
  uint64_t size() const { return size_; }
  void commit();

 private:
  std::string path_;
  std::string temporary_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

// A file in memory, read-only, paged in by the kernel. The bytes live as long as the object.
// Movable.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }
  // What was read leaves this process's memory; read again, it comes back from the system's cache.
  void release_pages() const;
  // Puts copies in huge pages where the file's pages are mapped, one after the other, while other
  // threads read: whoever reads much in order meets a 512th of the addresses to be looked up. Each
  // page of the file leaves this process's memory once it is copied. What lies before the first and
  // after the last whole huge page stays as it is. Ends early when asked to. Returns the bytes that
  // are copies now; release_pages() then does nothing. One thread calls these two.
  size_t move_to_huge_pages(const std::stop_token& stop);

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  bool moved_ = false;  // some of it is no longer the file's
};

}  // namespace hearth::io
