// The runs of an incarnation that were stopped before they could be written down: its disk is set
// aside from the beginning, so that they never start, whatever else finds no place. One thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "forge/core/types.h"

namespace hearth::forge {

class BuriedFile {
 public:
  // Throws Error(kIo) where there is not even that much room.
  explicit BuriedFile(std::string path);
  ~BuriedFile();
  BuriedFile(const BuriedFile&) = delete;
  BuriedFile& operator=(const BuriedFile&) = delete;

  // The highest epoch of each job that an earlier program of this incarnation buried.
  std::vector<std::pair<JobId, Epoch>> recover(Incarnation incarnation);
  // On disk when it returns. Throws Error(kIo).
  void add(Incarnation incarnation, JobId job, Epoch epoch);

 private:
  struct Entry {
    int64_t incarnation = 0;
    int64_t job = 0;
    int64_t epoch = 0;
  };
  static constexpr size_t kEntriesMax = 512;

  std::string path_;
  int file_ = -1;
  std::vector<Entry> entries_;
};

}  // namespace hearth::forge
