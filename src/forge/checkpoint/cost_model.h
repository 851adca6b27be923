// What checkpoints of training cost at a size that one does not have: time that steps stand still
// or go slower, and work that is lost when a device fails. Arithmetic over stated figures.
#pragma once

#include <cstdint>

namespace hearth::forge {

struct CheckpointCostInput {
  double parameters = 7e9;
  int32_t gpus = 8;
  int32_t gpus_per_node = 8;
  // Of the state of one parameter: an f32 master and two f32 moments. 16-bit weights are made anew.
  double state_bytes = 12;
  double copy_gb_s = 25;       // of one GPU to its node's memory; steps stand still
  double pack_gb_s = 4;        // of one node: cut, hash and pack, on cores that have time
  double stored_share = 0.85;  // of f32 state, when it is packed
  double node_gb_s = 10;       // of one node to the storage
  double storage_gb_s = 100;   // of the storage, all nodes together
  double slowdown = 0.01;      // of steps while a checkpoint is packed and written
  double interval_s = 600;
  double gpu_mtbf_hours = 50'000;  // between two failures of one GPU and what belongs to it
  double restart_s = 300;          // until a job runs again, its state not yet read
};

struct CheckpointCost {
  double state_bytes = 0;          // of all GPUs
  double stall_s = 0;              // of a checkpoint: steps stand still
  double write_s = 0;              // of a checkpoint, beside the steps
  double read_s = 0;               // back again
  double interval_s = 0;           // as asked for, but no shorter than write_s
  double steady_percent = 0;       // what checkpoints take of the time when nothing fails
  double failure_every_hours = 0;  // of the whole job
  double lost_s = 0;               // by one failure, on the average
  double lost_percent = 0;
  double best_interval_s = 0;  // that makes the sum of both least
  double best_percent = 0;     // that sum
};

// Throws Error(kInvalidArgument) naming the field that cannot be.
CheckpointCost checkpoint_cost(const CheckpointCostInput& input);

}  // namespace hearth::forge
