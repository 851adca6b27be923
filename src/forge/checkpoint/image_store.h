// Images of jobs on disk: folders of files as versions of a chunk store (io/chunk_store.h), one
// store a job, in IMAGES/JOB. The folder may be shared by the nodes of a cluster; of one job only
// one process writes at a time.
#pragma once

#include <string>
#include <vector>

#include "forge/core/types.h"
#include "io/chunk_store.h"

namespace hearth::forge {

class ImageStore {
 public:
  explicit ImageStore(std::string folder) : folder_(std::move(folder)) {}

  // Everything in `from`, a flat folder, as the image of this epoch and number. Older images of the
  // job go, but not the last ones.
  io::ChunkReport pack(JobId job, Epoch epoch, int32_t number, const std::string& from,
                       io::Durable durable = io::Durable::kNow) const;
  // Of an image that was packed with kLater; an older one that has gone meanwhile is none.
  void settle(JobId job, Epoch epoch, int32_t number) const;
  // Into `to`, which is there. Throws Error kNotFound, or kDataLoss when a byte is not what it was.
  void unpack(JobId job, Epoch epoch, int32_t number, const std::string& to) const;
  // One that turned out to be damaged: nothing is based on it any more. The newest before it;
  // none: 0.0.
  io::ChunkVersion discard(JobId job, Epoch epoch, int32_t number) const;
  // The job is over. What it has left in its own folder goes, too.
  void forget(JobId job) const;
  // That have images or a folder here.
  std::vector<JobId> jobs() const;

  std::string job_folder(JobId job) const;

 private:
  io::ChunkStore store(JobId job) const { return {job_folder(job), io::chunk_threads()}; }

  std::string folder_;
};

}  // namespace hearth::forge
