#include "engine/prefix_index.h"

#include <array>
#include <bit>

#include "base/check.h"

namespace hearth::engine {
namespace {

struct SipState {
  uint64_t v0, v1, v2, v3;

  void rounds(int count) {
    for (int i = 0; i < count; ++i) {
      v0 += v1;
      v2 += v3;
      v1 = std::rotl(v1, 13) ^ v0;
      v3 = std::rotl(v3, 16) ^ v2;
      v0 = std::rotl(v0, 32);
      v2 += v1;
      v0 += v3;
      v1 = std::rotl(v1, 17) ^ v2;
      v3 = std::rotl(v3, 21) ^ v0;
      v2 = std::rotl(v2, 32);
    }
  }

  void absorb(uint64_t word) {
    v3 ^= word;
    rounds(2);
    v0 ^= word;
  }

  uint64_t digest() const { return v0 ^ v1 ^ v2 ^ v3; }
};

constexpr uint64_t kSecondKeyHalf = 0x9e3779b97f4a7c15u;

}  // namespace

// Whole words only, so the last word holds nothing but the length in bytes, as the standard has it.
BlockKey siphash128(uint64_t key0, uint64_t key1, std::span<const uint64_t> words) {
  SipState state{key0 ^ 0x736f6d6570736575u, key1 ^ 0x646f72616e646f6du ^ 0xee,
                 key0 ^ 0x6c7967656e657261u, key1 ^ 0x7465646279746573u};
  for (const uint64_t word : words) state.absorb(word);
  state.absorb(static_cast<uint64_t>(words.size() * 8) << 56);
  BlockKey key;
  state.v2 ^= 0xee;
  state.rounds(4);
  key.low = state.digest();
  state.v1 ^= 0xdd;
  state.rounds(4);
  key.high = state.digest();
  return key;
}

BlockKey PrefixHasher::root(uint64_t salt, AdapterId adapter) const {
  const std::array<uint64_t, 2> words = {salt, static_cast<uint64_t>(adapter)};
  return siphash128(key_, key_ ^ kSecondKeyHalf, words);
}

BlockKey PrefixHasher::extend(const BlockKey& parent, std::span<const TokenId> tokens) const {
  DCHECK(tokens.size() == kBlockTokens);
  std::array<uint64_t, 2 + kBlockTokens / 2> words;
  words[0] = parent.low;
  words[1] = parent.high;
  for (size_t i = 0; i < kBlockTokens / 2; ++i) {
    words[2 + i] = static_cast<uint64_t>(static_cast<uint32_t>(tokens[2 * i])) |
                   static_cast<uint64_t>(static_cast<uint32_t>(tokens[2 * i + 1])) << 32;
  }
  return siphash128(key_, key_ ^ kSecondKeyHalf, words);
}

PrefixIndex::PrefixIndex(int32_t capacity)
    : entries_(std::bit_ceil(static_cast<size_t>(capacity) * 2 + 2)), mask_(entries_.size() - 1) {}

size_t PrefixIndex::slot_of(const BlockKey& key) const {
  size_t slot = home(key);
  while (entries_[slot].block != kNoBlock && !(entries_[slot].key == key))
    slot = (slot + 1) & mask_;
  return slot;
}

BlockId PrefixIndex::find(const BlockKey& key) const { return entries_[slot_of(key)].block; }

void PrefixIndex::insert(const BlockKey& key, BlockId block) {
  Entry& entry = entries_[slot_of(key)];
  CHECK(entry.block == kNoBlock, "block {} and block {} have the same key", entry.block, block);
  CHECK(static_cast<size_t>(size_) * 2 < entries_.size(), "prefix index over its capacity");
  entry = {key, block};
  ++size_;
}

// Moves later entries of the run back into the hole, so that no tombstone ever slows a search.
void PrefixIndex::erase(const BlockKey& key) {
  size_t hole = slot_of(key);
  CHECK(entries_[hole].block != kNoBlock, "erasing a key that is not in the prefix index");
  for (size_t next = (hole + 1) & mask_; entries_[next].block != kNoBlock;
       next = (next + 1) & mask_) {
    const size_t distance_from_home = (next - home(entries_[next].key)) & mask_;
    const size_t distance_from_hole = (next - hole) & mask_;
    if (distance_from_home < distance_from_hole) continue;
    entries_[hole] = entries_[next];
    hole = next;
  }
  entries_[hole].block = kNoBlock;
  --size_;
}

}  // namespace hearth::engine
