#include "forge/agent/fence_file.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

namespace hearth::forge {

FenceFile::FenceFile(std::string path) : path_(std::move(path)) {
  file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file_ < 0) throw_error(ErrorCode::kIo, path_, "{}", std::strerror(errno));
}

FenceFile::~FenceFile() { close(file_); }

Millis FenceFile::recover() {
  if (pread(file_, &at_, sizeof at_, 0) != static_cast<ssize_t>(sizeof at_)) at_ = 0;
  return at_;
}

void FenceFile::set(Millis at) {
  if (at == at_) return;
  if (pwrite(file_, &at, sizeof at, 0) != static_cast<ssize_t>(sizeof at)) {
    log::error("fence not written file={} reason=\"{}\"", path_, std::strerror(errno));
    return;
  }
  at_ = at;
}

}  // namespace hearth::forge
