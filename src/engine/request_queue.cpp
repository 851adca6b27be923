#include "engine/request_queue.h"

#include "base/check.h"

namespace hearth::engine {

void RequestQueue::push(Sequence& sequence) {
  const bool inserted = lane(lane_of(sequence)).insert(&sequence).second;
  CHECK(inserted, "sequence of request {} waits twice", sequence.owner->request.id);
}

void RequestQueue::remove(Sequence& sequence) {
  const size_t erased = lane(lane_of(sequence)).erase(&sequence);
  CHECK(erased == 1, "sequence of request {} does not wait", sequence.owner->request.id);
}

Sequence* RequestQueue::front(Lane which) const {
  const Ordered& ordered = which == Lane::kShort ? short_ : long_;
  return ordered.empty() ? nullptr : *ordered.begin();
}

Sequence* RequestQueue::front() const {
  Sequence* first_short = front(Lane::kShort);
  Sequence* first_long = front(Lane::kLong);
  if (!first_short || !first_long) return first_short ? first_short : first_long;
  return first_short->rank < first_long->rank ? first_short : first_long;
}

}  // namespace hearth::engine
