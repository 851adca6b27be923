#include "forge/agent/buried_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"

namespace hearth::forge {

BuriedFile::BuriedFile(std::string path) : path_(std::move(path)), entries_(kEntriesMax) {
  const size_t bytes = kEntriesMax * sizeof(Entry);
  file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  const int failed = file_ < 0 ? errno : posix_fallocate(file_, 0, static_cast<off_t>(bytes));
  if (failed == 0 && pread(file_, entries_.data(), bytes, 0) == static_cast<ssize_t>(bytes)) return;
  if (file_ >= 0) close(file_);
  throw_error(ErrorCode::kIo, path_, "cannot be made: {}; free some space and try again",
              std::strerror(failed));
}

BuriedFile::~BuriedFile() { close(file_); }

std::vector<std::pair<JobId, Epoch>> BuriedFile::recover(Incarnation incarnation) {
  std::vector<std::pair<JobId, Epoch>> out;
  for (const Entry& entry : entries_) {
    if (entry.incarnation == incarnation && entry.epoch > 0)
      out.emplace_back(static_cast<JobId>(entry.job), entry.epoch);
  }
  return out;
}

void BuriedFile::add(Incarnation incarnation, JobId job, Epoch epoch) {
  // What another incarnation buried is of no use to anybody any more.
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.incarnation != incarnation || entry.job == job;
  });
  if (found == entries_.end()) throw_error(ErrorCode::kIo, path_, "is full");
  *found = {incarnation, job,
            std::max(epoch, found->incarnation == incarnation ? found->epoch : 0)};
  const auto at = static_cast<off_t>((found - entries_.begin()) * sizeof(Entry));
  if (pwrite(file_, &*found, sizeof(Entry), at) != static_cast<ssize_t>(sizeof(Entry)) ||
      fdatasync(file_) != 0) {
    throw_error(ErrorCode::kIo, path_, "cannot be written: {}", std::strerror(errno));
  }
}

}  // namespace hearth::forge
