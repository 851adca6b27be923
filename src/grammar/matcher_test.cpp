#include "grammar/matcher.h"

#include <gtest/gtest.h>

namespace hearth::grammar {
namespace {

std::shared_ptr<const Vocabulary> letters() {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  for (const char* merge : {"ab", "abc", "bc", "red", "re", "gre", "en", "ed"}) {
    tokens.emplace_back(merge);
  }
  tokens.emplace_back("");  // end
  const auto end = static_cast<int32_t>(tokens.size()) - 1;
  return std::make_shared<const Vocabulary>(std::move(tokens), std::vector<int32_t>{end});
}

std::vector<std::string> allowed(Matcher& matcher, const Vocabulary& vocabulary) {
  std::vector<uint32_t> words(vocabulary.mask_words());
  matcher.fill(words);
  std::vector<std::string> tokens;
  for (int32_t token = 0; token < vocabulary.size(); ++token) {
    if (!(words[token >> 5] >> (token & 31) & 1)) continue;
    tokens.push_back(vocabulary.is_end(token) ? "<end>" : std::string(vocabulary.bytes(token)));
  }
  return tokens;
}

using Strings = std::vector<std::string>;

TEST(Matcher, AllowsTheTokensThatSpellAChoice) {
  const auto vocabulary = letters();
  Matcher matcher(compile_grammar({.kind = GrammarKind::kChoice, .choices = {"red", "green", "re"}},
                                  vocabulary));
  EXPECT_EQ(allowed(matcher, *vocabulary), (Strings{"g", "r", "red", "re", "gre"}));
  ASSERT_TRUE(matcher.accept_text("re"));
  EXPECT_EQ(allowed(matcher, *vocabulary), (Strings{"d", "<end>"}));
  ASSERT_TRUE(matcher.accept('d'));
  EXPECT_TRUE(matcher.finished());
  EXPECT_EQ(allowed(matcher, *vocabulary), (Strings{"<end>"}));
  EXPECT_FALSE(matcher.accept('d'));
  matcher.rollback(2);
  EXPECT_EQ(matcher.forced(), "");
  ASSERT_TRUE(matcher.accept('g'));
  EXPECT_EQ(matcher.forced(), "reen");
}

TEST(Matcher, FollowsARegex) {
  const auto vocabulary = letters();
  Matcher matcher(
      compile_grammar({.kind = GrammarKind::kRegex, .text = "(ab){2,3}c?"}, vocabulary));
  EXPECT_EQ(allowed(matcher, *vocabulary), (Strings{"a", "ab"}));
  ASSERT_TRUE(matcher.accept_text("aba"));
  EXPECT_EQ(allowed(matcher, *vocabulary), (Strings{"b", "bc"}));
  EXPECT_EQ(matcher.forced(), "b");
}

}  // namespace
}  // namespace hearth::grammar
