#include "tokenizer/regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "base/error.h"

namespace hearth::tokenizer {
namespace {

using testing::ElementsAre;

std::vector<std::string> matches(std::string_view pattern, std::string_view text) {
  const Regex regex(pattern, "test");
  const RegexScratchPtr scratch = make_regex_scratch();
  std::vector<std::string> out;
  for_each_match(regex, text, *scratch, [&](Match match) {
    out.emplace_back(text.substr(match.begin, match.end - match.begin));
  });
  return out;
}

TEST(Regex, ReadsOnigurumasSyntax) {
  EXPECT_THAT(matches("\\h+", "xBEEFx"), ElementsAre("BEEF"));               // hexadecimal digits
  EXPECT_THAT(matches("(?m:a.b)", "a\nb a b"), ElementsAre("a\nb", "a b"));  // the dot and newlines
  EXPECT_THAT(matches("a.b", "a\nb a b"), ElementsAre("a b"));
  EXPECT_THAT(matches("^b$", "a\nb\nc"), ElementsAre("b"));  // lines, not the text
  EXPECT_THAT(matches("[\\s\\d]+", "a \u00a01\u0663b"), ElementsAre(" \u00a01\u0663"));
  EXPECT_THAT(matches("\\s", "\u180e\u0085"), ElementsAre("\u0085"));
  EXPECT_THAT(matches("\\u00e9", "é"), ElementsAre("é"));
  EXPECT_THAT(matches("[a-c[x-z]]+", "axq"), ElementsAre("ax"));  // a union
  EXPECT_THAT(matches("\\p{^L}", "a1"), ElementsAre("1"));
  EXPECT_THAT(matches("\\bé\\b", "é éa"), ElementsAre("é"));
  EXPECT_THAT(matches("(?i:'s)", "'S 'ſ"), ElementsAre("'S", "'ſ"));
}

TEST(Regex, WalksEmptyMatchesAsOnigurumasIterator) {
  EXPECT_EQ(matches("(?=\\d{3})", "a12345").size(), 3u);
  EXPECT_EQ(matches("x*", "axb").size(), 3u);
}

TEST(Regex, SurvivesLongText) {
  const std::string spaces(1 << 20, ' ');
  EXPECT_THAT(matches("\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+", spaces), ElementsAre(spaces));
}

TEST(Regex, NamesWhatItCannotDo) {
  for (const char* pattern : {"[a&&b]", "[^[^a]]", "[[:graph:]]", "[\\W]"}) {
    try {
      matches(pattern, "a");
      FAIL() << pattern;
    } catch (const Error& error) {
      EXPECT_TRUE(error.code == ErrorCode::kUnsupported) << error.what();
    }
  }
  EXPECT_THROW(matches("(", "a"), Error);
}

}  // namespace
}  // namespace hearth::tokenizer
