// Randomness that can be replayed: a small fast stream for simulations and shuffles, and a
// counter-based generator whose n-th number needs no state, for sampling tokens.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>

namespace hearth {

// Mixes one 64-bit word (Steele, Lea, Flood 2014). A bijection.
uint64_t split_mix(uint64_t x);

// xoshiro256** (Blackman, Vigna 2018). The same seed gives the same stream on every machine.
class Random {
 public:
  explicit Random(uint64_t seed);
  uint64_t next();
  // Uniform in [0, bound); unbiased. bound > 0.
  uint64_t below(uint64_t bound);
  // Uniform in [low, high], both included.
  int64_t between(int64_t low, int64_t high);
  // Uniform in [0, 1) with 53 bits.
  double uniform();
  // Standard normal (Marsaglia's polar method without a cached half: stateless between calls).
  double normal();
  // Exponential with mean 1.
  double exponential();
  bool chance(double probability) { return uniform() < probability; }

  template <typename T>
  void shuffle(std::span<T> items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

  // For checkpoints: the whole state, and back.
  std::array<uint64_t, 4> state() const { return state_; }
  void set_state(const std::array<uint64_t, 4>& state) { state_ = state; }

 private:
  std::array<uint64_t, 4> state_;
};

// Philox 4x32-10 (Salmon et al. 2011): the i-th block of four words of stream `key`.
std::array<uint32_t, 4> philox(uint64_t key, uint64_t counter);

// The i-th uniform of stream `key` in [0, 1): same value whatever ran before, on any thread.
double philox_uniform(uint64_t key, uint64_t counter);

}  // namespace hearth
