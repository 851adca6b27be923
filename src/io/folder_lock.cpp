#include "io/folder_lock.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

namespace hearth::io {
namespace {

// "host, process 123": what the holder says of itself in the file.
std::string this_process() {
  char host[64] = {};
  ::gethostname(host, sizeof(host) - 1);
  return fmt::format("{}, process {}", host, ::getpid());
}

std::string read_holder(int fd) {
  char text[128] = {};
  const ssize_t size = ::pread(fd, text, sizeof(text) - 1, 0);
  return size > 0 ? std::string(text, static_cast<size_t>(size)) : "its name is not known yet";
}

// The lock is what counts; a full disk costs the name only.
void write_holder(int fd, const std::string& path) {
  const std::string text = this_process();
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, text.data(), text.size(), 0) < 0) {
    log::warn("no name in the lock path={} reason=\"{}\"", path, std::strerror(errno));
  }
}

bool lock_within(int fd, Nanos patience) {
  constexpr Nanos kPause = 20 * kMillisecond;
  for (Nanos waited = 0;; waited += kPause) {
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return true;
    if (errno != EWOULDBLOCK || waited >= patience) return false;
    ::usleep(static_cast<useconds_t>(kPause / kMicrosecond));
  }
}

}  // namespace

FolderLock::FolderLock(const std::string& folder, Nanos patience) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    throw_error(ErrorCode::kIo, folder, "the folder could not be made: {}", error.message());
  }
  const std::string path = folder + "/.lock";
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd_ < 0) throw_error(ErrorCode::kIo, path, "could not open: {}", std::strerror(errno));
  if (lock_within(fd_, patience)) {
    write_holder(fd_, path);
    return;
  }
  if (errno != EWOULDBLOCK) {
    log::warn("the folder is not locked path={} reason=\"{}\"", path, std::strerror(errno));
    return;
  }
  const std::string holder = read_holder(fd_);
  ::close(fd_);
  throw_error(ErrorCode::kInvalidArgument, folder,
              "another process works in this folder ({}); wait for it, or choose another folder",
              holder);
}

FolderLock::~FolderLock() { ::close(fd_); }

}  // namespace hearth::io
