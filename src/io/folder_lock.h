// A folder that one process at a time may work in.
#pragma once

#include <string>

#include "base/clock.h"

namespace hearth::io {

// Held while the object lives, and by processes forked meanwhile until they end; a process that is
// killed lets go of it. Where the file system knows no locks, a warning is all there is.
class FolderLock {
 public:
  // Makes the folder where there is none. Waits so long for a process that may be ending. Throws
  // Error naming the folder, and the process that works in it.
  explicit FolderLock(const std::string& folder, Nanos patience = kSecond);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int fd_ = -1;
};

}  // namespace hearth::io
