// Sequences that wait for a slot, in order of rank, in two lanes: a short prompt never stands
// behind a long one that waits for its turn to be computed. O(log n) each.
#pragma once

#include <cstdint>
#include <set>

#include "engine/sequence.h"

namespace hearth::engine {

enum class Lane : uint8_t { kShort, kLong };

class RequestQueue {
 public:
  // Sequences with more tokens than this wait in the long lane.
  explicit RequestQueue(int32_t long_threshold) : long_threshold_(long_threshold) {}

  void push(Sequence& sequence);
  void remove(Sequence& sequence);
  // First of one lane; null when it is empty.
  Sequence* front(Lane lane) const;
  // First of both.
  Sequence* front() const;
  int32_t size() const { return static_cast<int32_t>(short_.size() + long_.size()); }
  int32_t size(Lane lane) const {
    return static_cast<int32_t>(lane == Lane::kShort ? short_.size() : long_.size());
  }
  Lane lane_of(const Sequence& sequence) const {
    return sequence.size() > long_threshold_ ? Lane::kLong : Lane::kShort;
  }

 private:
  using Ordered = std::set<Sequence*, ByRank>;

  Ordered& lane(Lane which) { return which == Lane::kShort ? short_ : long_; }

  int32_t long_threshold_;
  Ordered short_;
  Ordered long_;
};

}  // namespace hearth::engine
