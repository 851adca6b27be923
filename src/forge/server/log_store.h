// What workers wrote, as it arrives from the agents: a file for each process and epoch of a job.
// Appending names the place where the bytes belong, so that sending twice writes once. Called from
// any thread.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "forge/core/types.h"

namespace hearth::forge {

struct LogKey {
  JobId job = 0;
  Epoch epoch = 0;
  int32_t rank = 0;
};

class LogStore {
 public:
  explicit LogStore(std::string folder);

  // Returns how much of the file there is now; what does not continue it is not taken.
  int64_t append(const LogKey& key, int64_t offset, std::string_view bytes);
  std::string read(const LogKey& key, int64_t offset, size_t bytes_max) const;
  // The epochs of which there is a log of this rank, ascending.
  std::vector<Epoch> epochs(JobId job, int32_t rank) const;

 private:
  std::string path(const LogKey& key) const;

  std::string folder_;
  mutable std::mutex mutex_;
};

}  // namespace hearth::forge
