// Until when the workers of a node may run without hearing of it, in a file that its keepers read:
// eight bytes that are written in place. Not thread-safe.
#pragma once

#include <string>

#include "forge/core/types.h"

namespace hearth::forge {

class FenceFile {
 public:
  // Throws Error kIo where it cannot be made.
  explicit FenceFile(std::string path);
  ~FenceFile();
  FenceFile(const FenceFile&) = delete;
  FenceFile& operator=(const FenceFile&) = delete;

  // What an earlier program left there; 0: nothing.
  Millis recover();
  // Where it cannot be written, the log says so and the next call tries again.
  void set(Millis at);

 private:
  std::string path_;
  int file_ = -1;
  Millis at_ = 0;
};

}  // namespace hearth::forge
