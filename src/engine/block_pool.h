// Who owns which block of the KV cache. A block is used (one or more sequences hold it), cached
// (nobody holds it, its contents can be found again by key) or blank. Cached and blank ones are
// free; they stand in one list, blank ones first, then the least recently used. What only work for
// idle capacity has used stands with the blank ones: it costs nobody else a cached prompt. Every
// operation is O(1) and allocates nothing. Touched by the engine's thread only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/prefix_index.h"
#include "engine/types.h"

namespace hearth::engine {

// Whose a block was: what somebody waits for is kept longer.
enum class Holder : uint8_t { kOnline, kBatch };

class BlockPool {
 public:
  explicit BlockPool(int32_t num_blocks);

  int32_t total() const { return static_cast<int32_t>(blocks_.size()) - 1; }
  int32_t free() const { return free_; }
  int32_t used() const { return total() - free_; }
  int32_t cached() const { return cached_; }
  uint64_t evictions() const { return evictions_; }
  int32_t references(BlockId block) const { return blocks_[slot(block)].references; }

  // A block with one reference and no key, its old contents forgotten; kNoBlock when none is free.
  BlockId allocate();
  // One more holder, also of a cached block.
  void retain(BlockId block);
  // One holder less. The last one leaves the block cached if it has a key, else blank.
  void release(BlockId block, Holder holder = Holder::kOnline);
  // The contents of a used block are complete and go by this key from now on. Where another block
  // has the key already, that one stays the one that is found.
  void publish(BlockId block, const BlockKey& key);
  // The block with these contents, or kNoBlock.
  BlockId find(const BlockKey& key) const { return index_.find(key); }
  // Forgets all contents: cached blocks become blank, used ones are not found any more.
  void forget();
  // Walks everything and says what contradicts what; empty: nothing does. For simulations.
  std::string audit() const;

 private:
  struct Block {
    int32_t references = 0;
    bool keyed = false;
    bool online = false;  // somebody has held it who was no batch work
    // Neighbours in the list of free blocks; a block in use is its own neighbour.
    int32_t next = 0;
    int32_t previous = 0;
    BlockKey key;
  };

  static size_t slot(BlockId block) { return static_cast<size_t>(block) + 1; }
  void link_before(size_t where, size_t which);
  void unlink(size_t which);

  // blocks_[0] is the head of the free list; block b is blocks_[b + 1].
  std::vector<Block> blocks_;
  PrefixIndex index_;
  int32_t free_ = 0;
  int32_t cached_ = 0;
  uint64_t evictions_ = 0;
};

}  // namespace hearth::engine
