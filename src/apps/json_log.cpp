#include "apps/json_log.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "io/json.h"

namespace hearth::apps {

JsonLog::JsonLog(const std::string& path)
    : path_(path), file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644)) {
  if (file_ < 0) {
    throw_error(ErrorCode::kIo, path, "could not open: {}", std::strerror(errno));
  }
  whole_ = ::lseek(file_, 0, SEEK_END);
}

JsonLog::~JsonLog() { ::close(file_); }

void JsonLog::write(const io::Json& line) {
  const bool waited = !pending_.empty();
  pending_ += io::dump_json(line) + "\n";
  const ssize_t written = ::pwrite(file_, pending_.data(), pending_.size(), whole_);
  if (written == static_cast<ssize_t>(pending_.size())) {
    whole_ += written;
    pending_.clear();
    return;
  }
  const char* reason = written < 0 ? std::strerror(errno) : "no room";
  if (!waited) log::warn("log lines wait path={} reason=\"{}\"", path_, reason);
  if (::ftruncate(file_, whole_) != 0) log::warn("log has a torn last line path={}", path_);
}

}  // namespace hearth::apps
