#include "base/random.h"

#include <bit>
#include <cmath>

namespace hearth {
namespace {

constexpr double kTwoToMinus53 = 0x1.0p-53;

double to_unit(uint64_t word) { return static_cast<double>(word >> 11) * kTwoToMinus53; }

}  // namespace

uint64_t split_mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

Random::Random(uint64_t seed) {
  for (uint64_t& word : state_) {
    word = split_mix(seed);
    seed += 0x9e3779b97f4a7c15u;
  }
}

uint64_t Random::next() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

uint64_t Random::below(uint64_t bound) {
  const uint64_t biased_below = -bound % bound;  // 2^64 mod bound
  for (;;) {
    const uint64_t word = next();
    if (word >= biased_below) return word % bound;
  }
}

int64_t Random::between(int64_t low, int64_t high) {
  const uint64_t width = static_cast<uint64_t>(high) - static_cast<uint64_t>(low) + 1;
  if (width == 0) return static_cast<int64_t>(next());  // the whole range of int64
  return static_cast<int64_t>(static_cast<uint64_t>(low) + below(width));
}

double Random::uniform() { return to_unit(next()); }

double Random::normal() {
  for (;;) {
    const double u = 2 * uniform() - 1;
    const double v = 2 * uniform() - 1;
    const double s = u * u + v * v;
    if (s > 0 && s < 1) return u * std::sqrt(-2 * std::log(s) / s);
  }
}

double Random::exponential() { return -std::log1p(-uniform()); }

std::array<uint32_t, 4> philox(uint64_t key, uint64_t counter) {
  std::array<uint32_t, 4> c = {static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32),
                               0, 0};
  uint32_t k0 = static_cast<uint32_t>(key);
  uint32_t k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

double philox_uniform(uint64_t key, uint64_t counter) {
  const auto words = philox(key, counter);
  return to_unit((uint64_t{words[1]} << 32) | words[0]);
}

}  // namespace hearth
