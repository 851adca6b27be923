#include "serve/stop_matcher.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace hearth::serve {
namespace {

struct Cut {
  std::string text;
  std::optional<std::string> stop;
  bool operator==(const Cut&) const = default;
};

Cut cut(const std::vector<std::string>& stops, std::string_view text, size_t piece) {
  StopMatcher matcher(stops);
  std::string out;
  for (size_t at = 0; at < text.size(); at += piece) out += matcher.feed(text.substr(at, piece));
  if (!matcher.matched()) out += matcher.finish();
  return {out, matcher.matched()};
}

TEST(StopMatcher, CutsBeforeTheStop) {
  EXPECT_EQ(cut({"END"}, "one END two", 1), (Cut{"one ", "END"}));
  EXPECT_EQ(cut({"END"}, "one EN two", 3), (Cut{"one EN two", std::nullopt}));
  EXPECT_EQ(cut({""}, "text", 4), (Cut{"text", std::nullopt}));
  EXPECT_EQ(cut({"aab"}, "aaab", 1), (Cut{"a", "aab"}));
}

TEST(StopMatcher, HoldsBackWhatMayBecomeAStop) {
  StopMatcher matcher({"\n\nQ:"});
  EXPECT_EQ(matcher.feed("a\n"), "a");
  EXPECT_EQ(matcher.feed("\nQ"), "");
  EXPECT_EQ(matcher.feed("x"), "\n\nQx");
}

TEST(StopMatcher, TheFirstToBeCompleteWins) {
  EXPECT_EQ(cut({"abcd", "bc"}, "xabcd", 5), (Cut{"xa", "bc"}));
  EXPECT_EQ(cut({"c", "abc"}, "xabcd", 5), (Cut{"x", "abc"}));
}

TEST(StopMatcher, PiecesMakeNoDifference) {
  Random random(7);
  for (int round = 0; round < 2000; ++round) {
    const auto word = [&](int64_t length) {
      std::string out;
      for (int64_t i = 0; i < length; ++i) out += static_cast<char>('a' + random.below(2));
      return out;
    };
    const std::vector<std::string> stops = {word(random.between(1, 4)), word(random.between(2, 6))};
    const std::string text = word(random.between(0, 24));
    const Cut whole = cut(stops, text, 1);
    for (size_t piece = 2; piece < 8; ++piece) {
      EXPECT_EQ(cut(stops, text, piece), whole) << text << " " << stops[0] << " " << stops[1];
    }
  }
}

}  // namespace
}  // namespace hearth::serve
