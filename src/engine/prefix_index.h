// Finds computed blocks by their contents. The key of a block is a keyed hash of everything that
// its keys and values depend on: salt, adapter, and all tokens up to its end, chained block by
// block. A fixed-size open-addressing table; nothing is allocated after construction.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/types.h"

namespace hearth::engine {

struct BlockKey {
  uint64_t low = 0;
  uint64_t high = 0;
  bool operator==(const BlockKey&) const = default;
};

// SipHash-2-4 with 128 bits of output (Aumasson, Bernstein 2012): nobody who does not know the key
// can make two chains meet.
class PrefixHasher {
 public:
  explicit PrefixHasher(uint64_t key) : key_(key) {}
  // Where the chain of a salt and adapter starts.
  BlockKey root(uint64_t salt, AdapterId adapter) const;
  // tokens: [kBlockTokens]
  BlockKey extend(const BlockKey& parent, std::span<const TokenId> tokens) const;

 private:
  uint64_t key_;
};

BlockKey siphash128(uint64_t key0, uint64_t key1, std::span<const uint64_t> words);

class PrefixIndex {
 public:
  // Holds at most `capacity` keys.
  explicit PrefixIndex(int32_t capacity);
  BlockId find(const BlockKey& key) const;  // kNoBlock: nobody has it
  // The key must not be there yet.
  void insert(const BlockKey& key, BlockId block);
  // The key must be there.
  void erase(const BlockKey& key);
  int32_t size() const { return size_; }

 private:
  struct Entry {
    BlockKey key;
    BlockId block = kNoBlock;
  };
  size_t home(const BlockKey& key) const { return key.low & mask_; }
  size_t slot_of(const BlockKey& key) const;

  std::vector<Entry> entries_;
  size_t mask_ = 0;
  int32_t size_ = 0;
};

}  // namespace hearth::engine
