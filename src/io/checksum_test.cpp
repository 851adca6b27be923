#include "io/checksum.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <set>
#include <vector>

namespace hearth::io {
namespace {

TEST(Checksum, EveryChangedByteOfEveryLengthIsNoticed) {
  for (size_t length : {0u, 1u, 7u, 8u, 31u, 32u, 33u, 64u, 100u}) {
    std::vector<std::byte> bytes(length, std::byte{0x5a});
    std::set<uint64_t> seen = {checksum(bytes)};
    for (std::byte& byte : bytes) {
      byte ^= std::byte{1};
      EXPECT_TRUE(seen.insert(checksum(bytes)).second) << length;
      byte ^= std::byte{1};
    }
    bytes.push_back(std::byte{0});
    EXPECT_TRUE(seen.insert(checksum(bytes)).second) << length;
    EXPECT_TRUE(seen.insert(checksum(bytes, 1)).second) << length;
  }
}

TEST(Checksum, WordsThatChangePlacesAreNoticed) {
  std::vector<std::byte> bytes(128);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
  const uint64_t before = checksum(bytes);
  for (size_t at : {8u, 32u, 64u}) {
    std::vector<std::byte> swapped = bytes;
    std::swap_ranges(swapped.begin(), swapped.begin() + 8,
                     swapped.begin() + static_cast<std::ptrdiff_t>(at));
    EXPECT_NE(checksum(swapped), before) << at;
  }
}

}  // namespace
}  // namespace hearth::io
