// What adapters add to the projections of one pass: its rows, grouped by adapter.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "adapters/packed.h"
#include "nn/pass.h"

namespace hearth::adapters {

class AdapterBatch final : public nn::LowRank {
 public:
  void clear() { members_.clear(); }
  bool empty() const { return members_.empty(); }
  bool has(int32_t id) const { return members_.contains(id); }
  void join(int32_t id, std::shared_ptr<const PackedAdapter> adapter) {
    members_[id].adapter = std::move(adapter);
  }
  // Rows [begin, begin + count) of the pass are of an adapter that has joined.
  void add_rows(int32_t id, int32_t begin, int32_t count);

  bool joins(int32_t slot) const override;
  void add(ops::Context& ctx, int32_t slot, TensorView x, TensorView y) override;

 private:
  struct Member {
    std::shared_ptr<const PackedAdapter> adapter;
    std::vector<int32_t> rows;
  };
  std::map<int32_t, Member> members_;
  std::vector<ops::LoraGroup> groups_;  // kept for its memory
};

}  // namespace hearth::adapters
