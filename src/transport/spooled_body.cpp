#include "transport/spooled_body.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"

namespace hearth::transport {
namespace {

[[noreturn]] void throw_errno(const std::string& path, const char* doing) {
  const int error = errno;
  const bool full = error == ENOSPC || error == EDQUOT;
  throw_error(ErrorCode::kIo, path, "could not {}: {}{}", doing, std::strerror(error),
              full ? "; free some space and try again" : "");
}

}  // namespace

SpooledBody::SpooledBody(const std::string& folder) : path_(folder + "/upload.XXXXXX") {
  fd_ = ::mkostemp(path_.data(), O_CLOEXEC);
  if (fd_ < 0) throw_errno(folder, "make a file");
  // Without a name it is gone with the process, however that ends.
  ::unlink(path_.c_str());
}

SpooledBody::~SpooledBody() { ::close(fd_); }

void SpooledBody::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(size_));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) throw_errno(path_, "write");
    size_ += static_cast<uint64_t>(wrote);
    bytes.remove_prefix(static_cast<size_t>(wrote));
  }
}

std::string SpooledBody::read(size_t most) {
  std::string out(most, '\0');
  size_t filled = 0;
  while (filled < most) {
    const ssize_t got = ::pread(fd_, out.data() + filled, most - filled, static_cast<off_t>(read_));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno(path_, "read");
    if (got == 0) break;
    filled += static_cast<size_t>(got);
    read_ += static_cast<uint64_t>(got);
  }
  out.resize(filled);
  return out;
}

}  // namespace hearth::transport
