#include "grammar/regex.h"

#include <gtest/gtest.h>
#include <regex>

#include "base/error.h"
#include "grammar/test_support.h"

namespace hearth::grammar {
namespace {

std::shared_ptr<const Grammar> compile_regex(const std::string& pattern) {
  static const auto vocabulary = test_vocabulary(5, 500);
  return compile_grammar({.kind = GrammarKind::kRegex, .text = pattern}, vocabulary);
}

const std::vector<std::string>& patterns() {
  static const std::vector<std::string> kPatterns{
      "abc",         "a|b|",          "(ab)*c+",           "[a-c]{2,4}",      "[^a-z]{1,3}",
      "\\d+\\.\\d*", "\\w+@\\w+",     "a{3}b{0,2}",        "(a|ab)(c|bcd)?",  "(x|1)?@",
      "^ab$",        "(?:a(?:b|c))*", "[\\d\\-_]+",        "[.^]a",           "\\x41\\u0042",
      "a+?b*?",      "(a*)*",         "((a|b)*a(a|b){6})", "\\[\\{\\}\\]\\.", "[a-]+"};
  return kPatterns;
}

TEST(Regex, RandomTextsMatchInTheStandardLibraryToo) {
  const uint64_t seed = 99;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  Random random(seed);
  const auto vocabulary = test_vocabulary(5, 500);
  for (const std::string& pattern : patterns()) {
    const auto grammar = compile_regex(pattern);
    const std::regex oracle(pattern);
    for (int walk = 0; walk < 30; ++walk) {
      Matcher matcher(grammar);
      const auto text = random_text(matcher, *vocabulary, random, 60);
      if (!text) continue;
      const bool ascii = std::all_of(text->begin(), text->end(), [](char c) { return c > 0; });
      EXPECT_TRUE(!ascii || std::regex_match(*text, oracle)) << pattern << "\n  " << *text;
    }
    for (int i = 0; i < 300; ++i) {
      std::string text;
      for (uint64_t n = random.below(7); n > 0; --n) text += "abcdx1.@-_A"[random.below(11)];
      EXPECT_EQ(matches(grammar, text), std::regex_match(text, oracle)) << pattern << " " << text;
    }
  }
}

TEST(Regex, ReadsUnicodeByCodePoint) {
  EXPECT_TRUE(matches(compile_regex("[à-ü]{3}"), "éèü"));
  EXPECT_TRUE(matches(compile_regex("."), "😀"));
  EXPECT_FALSE(matches(compile_regex(".."), "😀"));
  EXPECT_TRUE(matches(compile_regex("\\u{1F600}|\\ud83d\\ude01"), "😁"));
  EXPECT_FALSE(matches(compile_regex("[^a]"), "\xC0\x80"));
  EXPECT_FALSE(matches(compile_regex("[^a]"), "\xED\xA0\x80"));
  EXPECT_TRUE(matches(compile_regex("(?i)straSSE"), "STRASSE"));
}

TEST(Regex, RefusesWhatIsNotRegular) {
  const auto what = [](const std::string& pattern) -> std::string {
    try {
      compile_regex(pattern);
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  };
  for (const auto& [pattern, text] :
       std::vector<std::pair<std::string, std::string>>{{"(a)\\1", "back-reference"},
                                                        {"a(?=b)", "look-around"},
                                                        {"\\bab", "word boundary"},
                                                        {"(a", "not closed"},
                                                        {"a)", "no '('"},
                                                        {"[a", "not closed"},
                                                        {"*a", "nothing to repeat"},
                                                        {"a**", "nothing to repeat"},
                                                        {"a{3,2}", "out of order"},
                                                        {"[b-a]", "out of order"},
                                                        {"a$b", "anchor"},
                                                        {"a^b", "anchor"},
                                                        {"\\q", "unknown escape"},
                                                        {"\\", "lone"},
                                                        {"\\p{L}", "property"},
                                                        {"a{2000000}", "repeat_max"},
                                                        {"\xFF", "UTF-8"},
                                                        {"[^\\s\\S]", "no finite"}}) {
    EXPECT_NE(what(pattern).find(text), std::string::npos) << pattern << ": " << what(pattern);
  }
  EXPECT_NE(what(std::string(500, '(')).find("nesting_max"), std::string::npos);
}

}  // namespace
}  // namespace hearth::grammar
