#include "engine/request_queue.h"

#include <gtest/gtest.h>

namespace hearth::engine {
namespace {

struct Queued {
  Queued(uint64_t order, int32_t tokens) {
    sequence.owner = &owner;
    sequence.rank.order = order;
    sequence.tokens.assign(static_cast<size_t>(tokens), 1);
  }
  RequestState owner;
  Sequence sequence;
};

TEST(RequestQueue, ServesEachLaneInOrder) {
  RequestQueue queue(10);
  Queued third(3, 5), first(1, 50), second(2, 5);
  queue.push(third.sequence);
  queue.push(first.sequence);
  queue.push(second.sequence);
  EXPECT_EQ(queue.size(), 3);
  EXPECT_EQ(queue.front(), &first.sequence);
  EXPECT_EQ(queue.front(Lane::kLong), &first.sequence);
  EXPECT_EQ(queue.front(Lane::kShort), &second.sequence);
  queue.remove(second.sequence);
  EXPECT_EQ(queue.front(Lane::kShort), &third.sequence);
  queue.remove(first.sequence);
  EXPECT_EQ(queue.front(), &third.sequence);
  queue.remove(third.sequence);
  EXPECT_EQ(queue.front(), nullptr);
}

TEST(RequestQueueDeathTest, KnowsWhoWaits) {
  RequestQueue queue(10);
  Queued one(1, 5);
  EXPECT_DEATH(queue.remove(one.sequence), "does not wait");
  queue.push(one.sequence);
  EXPECT_DEATH(queue.push(one.sequence), "waits twice");
}

}  // namespace
}  // namespace hearth::engine
