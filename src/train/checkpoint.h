// Checkpoints of a run: everything that the next step depends on, so that a run killed at any
// moment goes on with bit for bit the same losses.
//
//   <out>/checkpoints/step-00000200/state.json  numbers; written last
//                                   shard-0000.json  which elements rank 0 keeps, and where
//                                   shard-0001.json  ...
//                     chunks/shard-0000/  a chunk store (io/chunk_store.h): master weights and both
//                                   moments of rank 0, f32, what did not change kept once
//
// Chunks and lists are written by a thread of each rank, from a copy, the lists into a folder of
// another name that is renamed when all of them are done. Loading takes the newest whole one, on
// any number of ranks.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "io/chunk_store.h"
#include "train/collective.h"
#include "train/data_stream.h"
#include "train/optimizer.h"
#include "train/parameters.h"

namespace hearth::train {

// The part that is not tensors; the same on all ranks.
struct RunState {
  int64_t step = 0;  // updates done, left-out ones included
  DataPosition position;
  int64_t tokens = 0;  // predictions learned from so far
  int64_t optimizer_steps = 0;
  std::vector<double> loss_history, norm_history;  // of the spike guards
  uint64_t data_fingerprint = 0;
  uint64_t layout = 0;  // names and shapes of the parameters
};

uint64_t layout_of(const Parameters& parameters);

struct CheckpointReport {
  int64_t step = 0;
  double stall_seconds = 0;  // training waited so long for the copy
  double write_seconds = 0;  // this rank's thread wrote so long
  int64_t bytes = 0;         // of this rank
  int64_t stored = 0;        // what those took on disk: packed, and only what was new
  std::string failure;       // why there is none; empty: it is whole
};

// Writes in the background, one at a time. Used by one thread of each rank, all of them at the same
// points of the run.
class CheckpointWriter {
 public:
  // Keeps the newest `kept`; deletes what an earlier run left unfinished.
  CheckpointWriter(std::string folder, int64_t kept, Collective& ranks, const Clock& clock);
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  // Copies, and returns while the copy is written. After finish().
  void write(const RunState& state, const Parameters& parameters, const Optimizer& optimizer);
  // What became of the last one, once: when all ranks are done with it, or waiting for them. A
  // failure (a full disk) is reported and leaves the older checkpoints as they are.
  std::optional<CheckpointReport> poll();
  std::optional<CheckpointReport> finish();

 private:
  struct Snapshot;
  enum class Progress : int { kWriting, kWritten, kFailed };
  void store(const Snapshot& snapshot);
  std::string put_chunks(const Snapshot& snapshot);
  void commit();
  void drop_unused_chunks() const;
  CheckpointReport settle(bool all_written);
  std::string final_name() const;
  std::string working_name() const;
  std::string what() const;

  std::string folder_;
  int64_t kept_;
  Collective& ranks_;
  const Clock& clock_;
  bool pending_ = false;  // written, and not settled
  RunState state_;        // of the pending one
  CheckpointReport report_;
  // Of this object's own making, so that it is known to be whole.
  std::optional<io::ChunkVersion> newest_;
  std::atomic<Progress> progress_{Progress::kWritten};
  std::thread thread_;
};

// Restores the newest whole checkpoint under `folder`, the optimizer's part of what it owns;
// damaged ones are passed over with a warning. False: there is none. Throws Error when it belongs
// to another model, or when there are some and all are damaged.
bool load_checkpoint(const std::string& folder, RunState& state, Parameters& parameters,
                     Optimizer& optimizer);

}  // namespace hearth::train
