#include "engine/block_pool.h"

#include <gtest/gtest.h>
#include <vector>

#include "base/random.h"

namespace hearth::engine {
namespace {

BlockKey key(uint64_t n) { return {n, ~n}; }

TEST(BlockPool, GivesEachBlockOnceAndThenNone) {
  BlockPool pool(3);
  EXPECT_EQ(pool.allocate(), 0);
  EXPECT_EQ(pool.allocate(), 1);
  EXPECT_EQ(pool.allocate(), 2);
  EXPECT_EQ(pool.allocate(), kNoBlock);
  EXPECT_EQ(pool.free(), 0);
  pool.release(1);
  EXPECT_EQ(pool.allocate(), 1);
  EXPECT_EQ(pool.audit(), "");
}

TEST(BlockPool, CountsHolders) {
  BlockPool pool(2);
  const BlockId block = pool.allocate();
  pool.retain(block);
  pool.release(block);
  EXPECT_EQ(pool.used(), 1);
  pool.release(block);
  EXPECT_EQ(pool.used(), 0);
  EXPECT_EQ(pool.audit(), "");
}

TEST(BlockPool, KeepsContentsOfFreeBlocksUntilTheyAreNeeded) {
  BlockPool pool(2);
  const BlockId block = pool.allocate();
  pool.publish(block, key(1));
  pool.release(block);
  EXPECT_EQ(pool.cached(), 1);
  EXPECT_EQ(pool.find(key(1)), block);
  pool.retain(block);
  EXPECT_EQ(pool.cached(), 0);
  pool.release(block);
  pool.allocate();
  EXPECT_EQ(pool.find(key(1)), block) << "blank blocks go first";
  EXPECT_EQ(pool.allocate(), block);
  EXPECT_EQ(pool.find(key(1)), kNoBlock);
  EXPECT_EQ(pool.evictions(), 1u);
  EXPECT_EQ(pool.audit(), "");
}

TEST(BlockPool, EvictsTheLeastRecentlyUsed) {
  BlockPool pool(3);
  for (uint64_t i = 0; i < 3; ++i) pool.publish(pool.allocate(), key(i));
  pool.release(1);
  pool.release(0);
  pool.release(2);
  pool.retain(1);
  pool.release(1);  // used again: now the last to go
  EXPECT_EQ(pool.allocate(), 0);
  EXPECT_EQ(pool.allocate(), 2);
  EXPECT_EQ(pool.allocate(), 1);
}

TEST(BlockPool, WhatOnlyBatchWorkHasUsedGoesFirst) {
  BlockPool pool(3);
  for (uint64_t i = 0; i < 3; ++i) pool.publish(pool.allocate(), key(i));
  pool.release(0);
  pool.release(1, Holder::kBatch);
  pool.retain(2);
  pool.release(2);  // the one is somebody's who waits
  pool.release(2, Holder::kBatch);
  EXPECT_EQ(pool.audit(), "");
  EXPECT_EQ(pool.allocate(), 1);
  EXPECT_EQ(pool.allocate(), 0);
  EXPECT_EQ(pool.allocate(), 2);
}

TEST(BlockPool, FirstOfTwoEqualBlocksIsTheOneFound) {
  BlockPool pool(2);
  pool.publish(pool.allocate(), key(1));
  pool.publish(pool.allocate(), key(1));
  EXPECT_EQ(pool.find(key(1)), 0);
  pool.release(1);
  EXPECT_EQ(pool.cached(), 0);
  EXPECT_EQ(pool.audit(), "");
}

TEST(BlockPool, ForgetsAllContents) {
  BlockPool pool(2);
  const BlockId block = pool.allocate();
  pool.publish(block, key(1));
  const BlockId other = pool.allocate();
  pool.publish(other, key(2));
  pool.release(other);
  pool.forget();
  EXPECT_EQ(pool.find(key(1)), kNoBlock);
  EXPECT_EQ(pool.find(key(2)), kNoBlock);
  EXPECT_EQ(pool.used(), 1);
  EXPECT_EQ(pool.cached(), 0);
  EXPECT_EQ(pool.audit(), "");
}

TEST(BlockPool, RandomUseKeepsTheAccounts) {
  Random random(7);
  BlockPool pool(17);
  std::vector<BlockId> held;
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t what = random.below(4);
    if (what == 0) {
      const BlockId block = pool.allocate();
      if (block == kNoBlock) continue;
      if (random.chance(0.7)) pool.publish(block, key(random.below(40)));
      held.push_back(block);
    } else if (what == 1) {
      const BlockId block = pool.find(key(random.below(40)));
      if (block == kNoBlock) continue;
      pool.retain(block);
      held.push_back(block);
    } else if (!held.empty()) {
      std::swap(held[random.below(held.size())], held.back());
      pool.release(held.back());
      held.pop_back();
    }
    ASSERT_EQ(pool.audit(), "") << "operation " << i;
  }
}

TEST(BlockPoolDeathTest, RefusesWhatWouldCorruptIt) {
  BlockPool pool(2);
  const BlockId block = pool.allocate();
  pool.release(block);
  EXPECT_DEATH(pool.release(block), "free already");
  EXPECT_DEATH(pool.retain(block), "blank");
}

}  // namespace
}  // namespace hearth::engine
