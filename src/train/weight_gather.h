// After each rank stepped the parameters that it keeps: every rank gets what it computes with.
//
// In bf16 that is the rounded copy of matrices, half the bytes, and the master weights of the rest.
// The master weights of the other ranks' matrices are then not needed here, and are not held.
#pragma once

#include <string_view>
#include <vector>

#include "train/collective.h"
#include "train/parameters.h"
#include "train/shard_plan.h"

namespace hearth::train {

class WeightGather {
 public:
  WeightGather(Collective& collective, Parameters& parameters, const ShardPlan& plan);

  // Master weights as the owners have them → what all ranks compute with.
  void share(ops::TrainContext& ctx, std::string_view what);
  // Gives the memory of the master weights that this rank does not need back.
  void release_others();
  // All master weights on all ranks, for saving; release_others() afterwards.
  void gather_all(std::string_view what);

 private:
  Collective& collective_;
  Parameters& parameters_;
  std::vector<Slice> masters_;  // elements whose master weights all ranks need
  std::vector<Slice> copies_;   // elements whose rounded copies are enough
};

}  // namespace hearth::train
