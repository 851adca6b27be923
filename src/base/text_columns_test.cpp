#include "base/text_columns.h"

#include <gtest/gtest.h>

namespace hearth {
namespace {

TEST(TextColumns, FillAndCutBetweenCharacters) {
  EXPECT_EQ(fit("abc", 5), "abc  ");
  EXPECT_EQ(fit("abc", 3), "abc");
  EXPECT_EQ(fit("abcd", 3), "ab…");
  EXPECT_EQ(fit("größer", 6), "größer");
  EXPECT_EQ(fit("größer", 4), "grö…");
  EXPECT_EQ(fit("", 2), "  ");
  EXPECT_EQ(fit("abc", 0), "");
  EXPECT_EQ(fit_right("12", 4), "  12");
  EXPECT_EQ(fit_right("12345", 4), "123…");
}

TEST(TextColumns, AMeterIsAsWideAsItIsTold) {
  EXPECT_EQ(meter(0.5, 4), "██··");
  EXPECT_EQ(meter(-1, 3), "···");
  EXPECT_EQ(meter(7, 3), "███");
  EXPECT_EQ(meter(0.5, 0), "");
}

TEST(TextColumns, DurationsAreShort) {
  EXPECT_EQ(short_duration(850), "850ms");
  EXPECT_EQ(short_duration(12'000), "12s");
  EXPECT_EQ(short_duration(200'000), "3m20s");
  EXPECT_EQ(short_duration(3'600'000 * 26LL), "26h00m");
  EXPECT_EQ(short_duration(3'600'000 * 120LL), "5d00h");
}

TEST(TextColumns, LinesEndWhereTheirTextEnds) {
  EXPECT_EQ(trimmed_line("a b  "), "a b\n");
  EXPECT_EQ(trimmed_line("   "), "\n");
}

}  // namespace
}  // namespace hearth
