#include "engine/block_pool.h"

#include <fmt/format.h>

#include "base/check.h"

namespace hearth::engine {
namespace {

constexpr size_t kHead = 0;

}  // namespace

BlockPool::BlockPool(int32_t num_blocks)
    : blocks_(static_cast<size_t>(num_blocks) + 1), index_(num_blocks), free_(num_blocks) {
  for (size_t i = 1; i < blocks_.size(); ++i) link_before(kHead, i);
}

void BlockPool::link_before(size_t where, size_t which) {
  const int32_t previous = blocks_[where].previous;
  blocks_[which].previous = previous;
  blocks_[which].next = static_cast<int32_t>(where);
  blocks_[static_cast<size_t>(previous)].next = static_cast<int32_t>(which);
  blocks_[where].previous = static_cast<int32_t>(which);
}

void BlockPool::unlink(size_t which) {
  Block& block = blocks_[which];
  blocks_[static_cast<size_t>(block.previous)].next = block.next;
  blocks_[static_cast<size_t>(block.next)].previous = block.previous;
  block.next = block.previous = static_cast<int32_t>(which);
}

BlockId BlockPool::allocate() {
  if (free_ == 0) return kNoBlock;
  const size_t which = static_cast<size_t>(blocks_[kHead].next);
  Block& block = blocks_[which];
  unlink(which);
  if (block.keyed) {
    index_.erase(block.key);
    block.keyed = false;
    --cached_;
    ++evictions_;
  }
  block.online = false;
  block.references = 1;
  --free_;
  return static_cast<BlockId>(which) - 1;
}

void BlockPool::retain(BlockId id) {
  Block& block = blocks_[slot(id)];
  if (block.references++ > 0) return;
  CHECK(block.keyed, "block {} is blank and cannot be shared", id);
  unlink(slot(id));
  --free_;
  --cached_;
}

void BlockPool::release(BlockId id, Holder holder) {
  Block& block = blocks_[slot(id)];
  CHECK(block.references > 0, "block {} is free already", id);
  block.online = block.online || holder == Holder::kOnline;
  if (--block.references > 0) return;
  ++free_;
  if (block.keyed) ++cached_;
  const bool last = block.keyed && block.online;
  link_before(last ? kHead : static_cast<size_t>(blocks_[kHead].next), slot(id));
}

void BlockPool::publish(BlockId id, const BlockKey& key) {
  Block& block = blocks_[slot(id)];
  CHECK(block.references > 0 && !block.keyed, "block {} is not one that was just computed", id);
  if (index_.find(key) != kNoBlock) return;
  index_.insert(key, id);
  block.key = key;
  block.keyed = true;
}

void BlockPool::forget() {
  for (Block& block : blocks_) {
    if (!block.keyed) continue;
    index_.erase(block.key);
    block.keyed = false;
  }
  cached_ = 0;
}

std::string BlockPool::audit() const {
  int32_t listed = 0;
  int32_t listed_with_key = 0;
  for (int32_t at = blocks_[kHead].next; at != static_cast<int32_t>(kHead);
       at = blocks_[static_cast<size_t>(at)].next) {
    const Block& block = blocks_[static_cast<size_t>(at)];
    if (block.references != 0) return fmt::format("block {} is held and in the free list", at - 1);
    if (++listed > free_) return fmt::format("more than {} blocks in the free list", free_);
    if (block.keyed) ++listed_with_key;
  }
  if (listed != free_) return fmt::format("{} blocks in the free list, {} free", listed, free_);
  if (listed_with_key != cached_) {
    return fmt::format("{} cached blocks in the free list, {} counted", listed_with_key, cached_);
  }
  int32_t held = 0;
  int32_t keyed = 0;
  for (BlockId id = 0; id < total(); ++id) {
    const Block& block = blocks_[slot(id)];
    if (block.references > 0) ++held;
    if (!block.keyed) continue;
    ++keyed;
    if (index_.find(block.key) != id) return fmt::format("block {} is not found by its key", id);
  }
  if (held + free_ != total())
    return fmt::format("{} held and {} free of {}", held, free_, total());
  if (keyed != index_.size()) return fmt::format("{} keys for {} blocks", index_.size(), keyed);
  return {};
}

}  // namespace hearth::engine
