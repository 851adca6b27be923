#include "io/checksum.h"

#include <cstring>

namespace hearth::io {
namespace {

constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;  // a product with it loses nothing
constexpr size_t kLanes = 4;                   // chains that the processor runs side by side

uint64_t spread(uint64_t x) {
  x = (x ^ x >> 32) * 0xd6e8feb86659fd93;
  x = (x ^ x >> 32) * 0xd6e8feb86659fd93;
  return x ^ x >> 32;
}

}  // namespace

uint64_t checksum(std::span<const std::byte> bytes, uint64_t seed) {
  uint64_t lanes[kLanes];
  for (size_t i = 0; i < kLanes; ++i) lanes[i] = spread(seed + i + 1);
  const std::byte* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= sizeof(lanes); at += sizeof(lanes), left -= sizeof(lanes)) {
    uint64_t words[kLanes];
    std::memcpy(words, at, sizeof(words));
    for (size_t i = 0; i < kLanes; ++i)
      lanes[i] = ((lanes[i] ^ words[i]) * kOdd) + (lanes[i] >> 47);
  }
  uint64_t rest[kLanes] = {};
  if (left > 0) std::memcpy(rest, at, left);
  uint64_t sum = spread(bytes.size());
  for (size_t i = 0; i < kLanes; ++i) sum = spread(sum ^ spread(lanes[i] ^ rest[i]) ^ i);
  return sum;
}

}  // namespace hearth::io
