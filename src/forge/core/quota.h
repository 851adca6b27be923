// What the tree of virtual clusters promises, counted in thousandths of devices. A policy charges
// jobs in its order and learns on whose account each would run.
#pragma once

#include <vector>

#include "forge/core/types.h"

namespace hearth::forge {

// kOwn: within the guarantee of the job's virtual cluster or of one above it. kBorrowed: beyond.
// kRefused: a limit of borrowing or lending stands against it; kFull: all devices are in use.
enum class Cover { kOwn, kBorrowed, kRefused, kFull };
inline bool may_run(Cover cover) { return cover == Cover::kOwn || cover == Cover::kBorrowed; }

class Quota {
 public:
  explicit Quota(const FleetSpec& spec);

  // `capacity_milli`: devices present now.
  Cover cover(VcId vc, int64_t milli, int64_t capacity_milli) const;
  // Negative: gives back.
  void charge(VcId vc, int64_t milli);

  // What of the fleet's devices a borrower in `vc` may still use when every other virtual cluster
  // keeps what its lending limit holds back.
  int64_t lendable(VcId vc, int64_t capacity_milli) const;
  int64_t used(VcId vc) const { return used_[static_cast<size_t>(vc)]; }

 private:
  const FleetSpec* spec_;
  int64_t total_used_ = 0;
  std::vector<VcId> withholding_;  // those whose lending has a limit
  std::vector<int64_t> used_;      // of the whole subtree
};

}  // namespace hearth::forge
