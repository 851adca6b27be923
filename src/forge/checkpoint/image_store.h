// Images of jobs on disk: folders of files, cut into chunks of which each is kept once.
//
//   IMAGES/JOB/EPOCH.NUMBER.image   its files as lists of chunks; here once the pack is on disk
//              EPOCH.NUMBER.pack    the chunks that no earlier image of this job had
//
// Chunks end where their content says so, at pages of 4 KiB: memory that moved by some pages is
// still the same chunks. They are known by SHA-256 and packed with zstd. An image may need packs
// of earlier ones, but of few: from time to time one is written whole. The folder may be shared by
// the nodes of a cluster; of one job only one process writes at a time.
#pragma once

#include <string>
#include <vector>

#include "forge/core/types.h"

namespace hearth::forge {

struct PackReport {
  int64_t bytes = 0;   // of all files
  int64_t fresh = 0;   // of chunks that were new
  int64_t stored = 0;  // what those take on disk
};

class ImageStore {
 public:
  explicit ImageStore(std::string folder) : folder_(std::move(folder)) {}

  // Everything in `from`, a flat folder, as the image of this epoch and number; on disk when it
  // returns. Older images of the job go, but not the last ones.
  PackReport pack(JobId job, Epoch epoch, int32_t number, const std::string& from) const;
  // Into `to`, which is there. Throws Error kNotFound, or kDataLoss when a byte is not what it was.
  void unpack(JobId job, Epoch epoch, int32_t number, const std::string& to) const;
  // The job is over. What it has left in its own folder goes, too.
  void forget(JobId job) const;
  // That have images or a folder here.
  std::vector<JobId> jobs() const;

  std::string job_folder(JobId job) const;

 private:
  std::string folder_;
};

}  // namespace hearth::forge
