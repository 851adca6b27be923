// Checkpoints of a run: everything that the next step depends on, so that a run killed at any
// moment goes on with bit for bit the same losses.
//
//   <out>/checkpoints/step-00000200/state.json          numbers, and the checksum of the file below
//   <out>/checkpoints/step-00000200/state.safetensors   master weights and both moments, f32, flat
//
// A checkpoint is written into a folder of another name by a thread of its own, from a copy, and
// renamed when it is whole. Loading takes the newest whole one.
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include "train/data_stream.h"
#include "train/optimizer.h"
#include "train/parameters.h"

namespace hearth::train {

// The part that is not tensors.
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

// Writes in the background, one at a time. Used by one thread.
class CheckpointWriter {
 public:
  CheckpointWriter(std::string folder, int64_t kept);
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  // Waits for the one before, copies, and returns while the copy is written.
  void write(const RunState& state, const Parameters& parameters, const Optimizer& optimizer);
  // Waits for the last one; throws what it threw.
  void finish();

 private:
  struct Snapshot;
  void store(const Snapshot& snapshot) const;
  void delete_old() const;

  std::string folder_;
  int64_t kept_;
  std::thread thread_;
  std::exception_ptr failure_;
};

// Restores the newest whole checkpoint under `folder`; damaged ones are passed over with a warning.
// False: there is none. Throws Error when it belongs to another model.
bool load_checkpoint(const std::string& folder, RunState& state, Parameters& parameters,
                     Optimizer& optimizer);

}  // namespace hearth::train
