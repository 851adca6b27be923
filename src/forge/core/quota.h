// What the tree of virtual clusters promises, counted in thousandths of devices. A policy charges
// jobs in its order and learns on whose account each would run.
#pragma once

#include <vector>

#include "forge/core/types.h"

namespace hearth::forge {

// kOwn: within the guarantee of the job's virtual cluster or of one above it. kBorrowed: beyond.
enum class Cover { kOwn, kBorrowed, kRefused };

class Quota {
 public:
  // `capacity_milli`: devices present now.
  Quota(const FleetSpec& spec, int64_t capacity_milli);

  Cover cover(VcId vc, int64_t milli) const;
  void charge(VcId vc, int64_t milli);

  // What of the fleet's devices a borrower in `vc` may still use when every other virtual cluster
  // keeps what its lending limit holds back.
  int64_t lendable(VcId vc) const;
  int64_t used(VcId vc) const { return used_[static_cast<size_t>(vc)]; }

 private:
  const FleetSpec& spec_;
  int64_t capacity_milli_;
  int64_t total_used_ = 0;
  std::vector<int64_t> used_;  // of the whole subtree
};

}  // namespace hearth::forge
