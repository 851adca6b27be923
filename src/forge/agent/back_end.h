// How the workers of a run come to life, and how their work outlives them. A keeper has one of
// these, by what its job declares; they know processes, the keeper knows leases, logs and ends.
//
//   library   a worker that gets SIGTERM saves itself and says so with its exit status
//   process   a tree of processes is written down as it is (CRIU), and goes on from that
//   none      nothing is saved
#pragma once

#include <memory>
#include <span>
#include <string>
#include <sys/types.h>

#include "forge/agent/run_folder.h"
#include "forge/agent/worker_process.h"

namespace hearth::forge {

enum class AfterSave { kGoesOn, kEnds };

class CheckpointBackEnd {
 public:
  virtual ~CheckpointBackEnd() = default;

  // From its beginning, or from the image that the order names.
  virtual WorkerProcess start(int32_t rank, std::span<const Slot> slots) = 0;
  // To be called often while the worker lives.
  virtual void look_after(const WorkerProcess& worker) = 0;
  // A child of this process that writes the worker down as `image` and ends with 0, or says why it
  // could not in save_failure(). With kEnds the worker stands still from then on. 0: this worker
  // has to save itself, or has nothing to save yet.
  virtual pid_t save(const WorkerProcess& worker, AfterSave after, const ImageRef& image) = 0;
  // kEnds has failed: the worker goes on.
  virtual void go_on(const WorkerProcess& worker) = 0;
  virtual void ask_to_stop(const WorkerProcess& worker) = 0;
  virtual void kill(const WorkerProcess& worker) = 0;
  // Of a worker that was asked to stop: its work is safe.
  virtual bool is_saved(int32_t status) const = 0;
  // Why it never came back from its image; empty: it did, or it had none.
  virtual std::string restore_failure() const = 0;
  // Nothing of the run lives any more, and its end is written down. May take as long as a disk
  // takes for its image.
  virtual void clean_up(const ImageRef& newest) = 0;
};

std::unique_ptr<CheckpointBackEnd> make_back_end(const RunOrder& order, const std::string& folder);

std::string save_failure(const std::string& folder);

}  // namespace hearth::forge
