// Quantising gives the same bits on every instruction set.
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "base/random.h"
#include "tensor/dtype.h"

namespace hearth::backend::cpu {
namespace {

constexpr int64_t kGroups = 300;

// Ordinary groups, and some that are hard: zeros, tiny, one spike, ties, subnormal scales.
std::vector<float> values(uint64_t seed) {
  Random random(seed);
  std::vector<float> x(static_cast<size_t>(kGroups * ops::kQuantGroup));
  for (size_t i = 0; i < x.size(); ++i) {
    const auto group = static_cast<int>(i / static_cast<size_t>(ops::kQuantGroup));
    const float normal = static_cast<float>(random.uniform() + random.uniform() - 1.0);
    x[i] = normal;
    if (group % 7 == 1) x[i] = 0.0f;
    if (group % 7 == 2) x[i] = normal * 1e-9f;
    if (group % 7 == 3 && i % 32 == 5) x[i] = 40.0f;
    if (group % 7 == 4) x[i] = i % 2 == 0 ? 1.0f : -1.0f;
    if (group % 7 == 5) x[i] = normal * 3e-6f;
  }
  return x;
}

struct Result {
  bool fits = false;
  std::vector<int8_t> levels = std::vector<int8_t>(kGroups * ops::kQuantGroup);
  std::vector<uint16_t> scales = std::vector<uint16_t>(kGroups);
  bool operator==(const Result&) const = default;
};

Result q8(const ops::QuantizeKernels& kernels, const std::vector<float>& x) {
  Result r;
  r.fits = kernels.q8(x.data(), kGroups, r.levels.data(), r.scales.data());
  return r;
}

Result q4(const ops::QuantizeKernels& kernels, const std::vector<float>& x,
          const std::vector<float>& importance) {
  Result r;
  r.fits = kernels.q4(x.data(), importance.data(), kGroups, r.levels.data(), r.scales.data());
  return r;
}

TEST(QuantizeGroups, EveryVariantGivesTheSameBits) {
  const std::vector<float> x = values(3);
  std::vector<float> importance = values(4);
  for (float& each : importance) each = std::abs(each) + 0.01f;
  const ops::QuantizeKernels& plain = ops::kQuantizePlain;
  EXPECT_TRUE(q8(plain, x).fits);
  for (const Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512}) {
    if (!has_isa(isa)) continue;
    const ops::QuantizeKernels& kernels = quantize_kernels(isa);
    SCOPED_TRACE(kernels.variant);
    EXPECT_EQ(q8(kernels, x), q8(plain, x));
    EXPECT_EQ(q4(kernels, x, importance), q4(plain, x, importance));
  }
}

// What is no number still becomes a level: making a whole number of it would be undefined.
TEST(QuantizeGroups, WhatIsNotFiniteIsSaid) {
  for (const float bad : {INFINITY, NAN, -INFINITY, 1e30f}) {
    std::vector<float> x = values(5);
    x[77] = bad;
    const std::vector<float> alike(x.size(), 1.0f);
    for (const Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512}) {
      if (!has_isa(isa)) continue;
      EXPECT_FALSE(q8(quantize_kernels(isa), x).fits) << bad;
      EXPECT_FALSE(q4(quantize_kernels(isa), x, alike).fits) << bad;
      const int8_t level = q8(quantize_kernels(isa), x).levels[77];
      EXPECT_EQ(level, std::isfinite(bad) ? 0 : -127) << bad;
    }
  }
}

TEST(QuantizeGroups, HalvesWidenAsTheyShould) {
  std::vector<uint16_t> all(1 << 16);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
  std::vector<float> f16(all.size()), bf16(all.size());
  for (const Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512}) {
    if (!has_isa(isa)) continue;
    const ops::QuantizeKernels& kernels = quantize_kernels(isa);
    kernels.widen_f16(all.data(), static_cast<int64_t>(all.size()), f16.data());
    kernels.widen_bf16(all.data(), static_cast<int64_t>(all.size()), bf16.data());
    for (size_t i = 0; i < all.size(); ++i) {
      const float want = f16_to_float(all[i]);
      if (std::isnan(want)) {
        EXPECT_TRUE(std::isnan(f16[i]));
      } else {
        EXPECT_EQ(std::memcmp(&f16[i], &want, sizeof(want)), 0) << i;
      }
      const float wide = bf16_to_float(all[i]);
      EXPECT_EQ(std::memcmp(&bf16[i], &wide, sizeof(wide)), 0) << i;
    }
  }
}

}  // namespace
}  // namespace hearth::backend::cpu
