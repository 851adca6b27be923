// Which rank keeps which part of the flat buffers, and in which parts gradients travel.
//
// Buckets are whole parameters, in the order in which the backward pass completes them: from the
// end of the buffers to their beginning. AdamW treats each element alone, so each rank keeps an
// equal share of each bucket; Muon needs whole matrices, so each matrix has one keeper.
#pragma once

#include <cstdint>
#include <vector>

#include "train/collective.h"
#include "train/optimizer.h"
#include "train/parameters.h"

namespace hearth::train {

struct Bucket {
  int64_t begin = 0;
  int64_t end = 0;
  std::vector<Slice> slices;  // of [begin, end), ascending
  int64_t count() const { return end - begin; }
};

struct ShardPlan {
  std::vector<Bucket> buckets;  // from the end of the buffers to their beginning
  // What one rank keeps, ascending; what it keeps of them lies end to end in this order.
  std::vector<OwnedRange> owned_by(int rank) const;
  // Where the first slice of a bucket that a rank keeps lies in what it keeps.
  int64_t local_begin(const Bucket& bucket, int rank) const;
};

ShardPlan make_shard_plan(const Parameters& parameters, OptimizerKind optimizer, int ranks,
                          int64_t bucket_bytes);

}  // namespace hearth::train
