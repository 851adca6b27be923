#include "tensor/dtype.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

namespace hearth {
namespace {

TEST(F16, EveryValueSurvivesARoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = f16_to_float(static_cast<uint16_t>(bits));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(f16_to_float(f16_from_float(value))));
    } else {
      ASSERT_EQ(f16_from_float(value), bits) << value;
    }
  }
}

TEST(F16, RoundsToNearestEven) {
  EXPECT_EQ(f16_from_float(1.0f + 0x1.0p-11f), 0x3c00);      // tie, down to even
  EXPECT_EQ(f16_from_float(1.0f + 3 * 0x1.0p-11f), 0x3c02);  // tie, up to even
  EXPECT_EQ(f16_from_float(65519.0f), 0x7bff);
  EXPECT_EQ(f16_from_float(65520.0f), 0x7c00);
  EXPECT_EQ(f16_from_float(0x1.0p-25f), 0);  // tie with zero
  EXPECT_EQ(f16_from_float(-0.0f), 0x8000);
}

TEST(BF16, RoundsToNearestEvenAndKeepsNan) {
  EXPECT_EQ(bf16_from_float(1.0f), 0x3f80);
  EXPECT_EQ(bf16_from_float(1.0f + 0x1.0p-8f), 0x3f80);
  EXPECT_EQ(bf16_from_float(1.0f + 3 * 0x1.0p-8f), 0x3f82);
  EXPECT_TRUE(std::isnan(bf16_to_float(bf16_from_float(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_EQ(bf16_from_float(std::numeric_limits<float>::infinity()), 0x7f80);
}

}  // namespace
}  // namespace hearth
