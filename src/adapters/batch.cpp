#include "adapters/batch.h"

#include <algorithm>

namespace hearth::adapters {

void AdapterBatch::add_rows(int32_t id, int32_t begin, int32_t count) {
  std::vector<int32_t>& rows = members_.at(id).rows;
  for (int32_t row = begin; row < begin + count; ++row) rows.push_back(row);
}

bool AdapterBatch::joins(int32_t slot) const {
  return std::any_of(members_.begin(), members_.end(), [&](const auto& member) {
    return !member.second.adapter->parts(slot).empty();
  });
}

void AdapterBatch::add(ops::Context& ctx, int32_t slot, TensorView x, TensorView y) {
  groups_.clear();
  for (const auto& [id, member] : members_) {
    const auto parts = member.adapter->parts(slot);
    if (!parts.empty()) groups_.push_back({parts, member.rows});
  }
  ops::lora_add(ctx, x, groups_, y);
}

}  // namespace hearth::adapters
