#include "engine/prefix_index.h"

#include <array>
#include <gtest/gtest.h>
#include <map>
#include <numeric>

#include "base/random.h"

namespace hearth::engine {
namespace {

// Made with `openssl mac -macopt size:16 SipHash`, key 00 01 .. 0f.
constexpr uint64_t kKey0 = 0x0706050403020100u;
constexpr uint64_t kKey1 = 0x0f0e0d0c0b0a0908u;

TEST(SipHash, EqualsOpenSsl) {
  EXPECT_EQ(siphash128(kKey0, kKey1, {}), (BlockKey{0xe6a825ba047f81a3u, 0x930255c71472f66du}));
  const std::array<uint64_t, 2> words = {kKey0, kKey1};
  EXPECT_EQ(siphash128(kKey0, kKey1, words), (BlockKey{0xbb54b067caa4e26eu, 0x77052385bf1533fdu}));
}

std::array<TokenId, kBlockTokens> block_of(TokenId first) {
  std::array<TokenId, kBlockTokens> tokens;
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

TEST(PrefixHasher, DependsOnEverythingBefore) {
  const PrefixHasher hasher(1);
  const BlockKey root = hasher.root(5, kBaseModel);
  EXPECT_EQ(hasher.extend(root, block_of(0)), hasher.extend(root, block_of(0)));
  EXPECT_NE(hasher.extend(root, block_of(0)), hasher.extend(root, block_of(1)));
  EXPECT_NE(hasher.root(5, kBaseModel), hasher.root(6, kBaseModel)) << "salt";
  EXPECT_NE(hasher.root(5, kBaseModel), hasher.root(5, 1)) << "adapter";
  EXPECT_NE(root, PrefixHasher(2).root(5, kBaseModel)) << "key of the hash";
  const BlockKey first = hasher.extend(root, block_of(0));
  EXPECT_NE(hasher.extend(first, block_of(0)), first) << "position";
}

TEST(PrefixIndex, FindsWhatWasInserted) {
  PrefixIndex index(4);
  index.insert({1, 2}, 3);
  EXPECT_EQ(index.find({1, 2}), 3);
  EXPECT_EQ(index.find({1, 3}), kNoBlock);
  index.erase({1, 2});
  EXPECT_EQ(index.find({1, 2}), kNoBlock);
  EXPECT_EQ(index.size(), 0);
}

// Keys that all want the same few places: runs wrap around the end and are mended on erase.
TEST(PrefixIndex, EqualsAMapUnderCollisions) {
  Random random(3);
  PrefixIndex index(30);
  std::map<uint64_t, BlockId> reference;
  for (int i = 0; i < 50'000; ++i) {
    const uint64_t n = random.below(60);
    const BlockKey key{60 + n % 5, n};
    const auto found = reference.find(n);
    ASSERT_EQ(index.find(key), found == reference.end() ? kNoBlock : found->second) << i;
    if (found != reference.end()) {
      index.erase(key);
      reference.erase(found);
    } else if (reference.size() < 30) {
      index.insert(key, i);
      reference.emplace(n, i);
    }
    ASSERT_EQ(index.size(), static_cast<int32_t>(reference.size()));
  }
}

}  // namespace
}  // namespace hearth::engine
