#include "forge/core/quota.h"

#include <algorithm>

namespace hearth::forge {

Quota::Quota(const FleetSpec& spec) : spec_(&spec), used_(spec.virtual_clusters.size(), 0) {
  for (size_t v = 0; v < spec.virtual_clusters.size(); ++v) {
    if (spec.virtual_clusters[v].lend_max != INT32_MAX)
      withholding_.push_back(static_cast<VcId>(v));
  }
}

Cover Quota::cover(VcId vc, int64_t milli, int64_t capacity_milli) const {
  bool own = false;
  for (VcId v = vc; v >= 0; v = spec_->virtual_clusters[static_cast<size_t>(v)].parent) {
    const VirtualCluster& cluster = spec_->virtual_clusters[static_cast<size_t>(v)];
    const int64_t after = used(v) + milli;
    const int64_t most = (int64_t{cluster.guarantee} + cluster.borrow_max) * kWholeDevice;
    if (after > most) return Cover::kRefused;
    own = own || after <= int64_t{cluster.guarantee} * kWholeDevice;
  }
  if (own) return Cover::kOwn;
  if (milli <= lendable(vc, capacity_milli)) return Cover::kBorrowed;
  return milli > capacity_milli - total_used_ ? Cover::kFull : Cover::kRefused;
}

void Quota::charge(VcId vc, int64_t milli) {
  total_used_ += milli;
  for (VcId v = vc; v >= 0; v = spec_->virtual_clusters[static_cast<size_t>(v)].parent) {
    used_[static_cast<size_t>(v)] += milli;
  }
}

int64_t Quota::lendable(VcId vc, int64_t capacity_milli) const {
  const auto above = [&](VcId other) {
    for (VcId v = vc; v >= 0; v = spec_->virtual_clusters[static_cast<size_t>(v)].parent) {
      if (v == other) return true;
    }
    return false;
  };
  int64_t kept = 0;
  for (VcId v : withholding_) {
    const VirtualCluster& other = spec_->virtual_clusters[static_cast<size_t>(v)];
    if (above(v)) continue;
    const int64_t unused = int64_t{other.guarantee} * kWholeDevice - used(v);
    kept += std::max<int64_t>(0, unused - int64_t{other.lend_max} * kWholeDevice);
  }
  return capacity_milli - total_used_ - kept;
}

}  // namespace hearth::forge
