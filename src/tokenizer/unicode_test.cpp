#include "tokenizer/unicode.h"

#include <functional>
#include <gtest/gtest.h>

#include "tokenizer/regex.h"

namespace hearth::tokenizer {
namespace {

struct Checksum {
  uint64_t value = 0xCBF29CE484222325u;
  int count = 0;

  void mix(uint64_t x) { value = (value ^ x) * 0x100000001B3u; }
};

template <typename Visit>
void for_all_chars(Visit&& visit) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c < 0xD800 || c > 0xDFFF) visit(c);
  }
}

std::string utf8(char32_t c) {
  std::string text;
  append_utf8(text, c);
  return text;
}

struct ClassCase {
  const char* name;
  std::function<bool(char32_t)> contains;
  int count;
  uint64_t checksum;
};

void check(const ClassCase& expected) {
  Checksum sum;
  for_all_chars([&](char32_t c) {
    if (!expected.contains(c)) return;
    sum.mix(c);
    ++sum.count;
  });
  EXPECT_EQ(sum.count, expected.count) << expected.name;
  EXPECT_EQ(sum.value, expected.checksum) << expected.name;
}

// Counts and checksums over every code point, computed with Hugging Face's tokenizers 0.23.1.
TEST(CharacterClasses, AreThoseOfHuggingFace) {
  const ClassCase cases[] = {
      {"is_white_space", is_white_space, 25, 0x231591AD12FFE059u},
      {"is_numeric", is_numeric, 1924, 0xCEFE8C12E06F18ECu},
      {"is_word", is_word, 144667, 0x74E9E67363C9083Fu},
      {"is_punctuation", is_punctuation, 726, 0xED67276710CF5944u},
      {"is_mark", is_mark, 2097, 0xCE04022E74ABE72Cu},
      {"is_nonspacing_mark", is_nonspacing_mark, 1567, 0x8A6F9EED3EF95933u},
  };
  for (const ClassCase& expected : cases) check(expected);
}

TEST(Scripts, AreThoseOfHuggingFace) {
  Checksum sum;
  for_all_chars([&](char32_t c) {
    const uint8_t script = script_of(c);
    if (script == 0) return;
    sum.mix(c);
    sum.mix(script);
    ++sum.count;
  });
  EXPECT_EQ(sum.count, 128236);
  EXPECT_EQ(sum.value, 0x831AD7B21A0DEC31u);
}

TEST(RegexClasses, AreThoseOfOniguruma) {
  struct {
    const char* pattern;
    int count;
    uint64_t checksum;
  } const cases[] = {
      {"\\p{L}", 141028, 0x9ABBEC5090CDD78Du}, {"\\p{N}", 1911, 0x88882B4D56227662u},
      {"\\s", 25, 0x231591AD12FFE059u},        {"\\w", 144671, 0xBA0BA63C2887B6D9u},
      {"\\p{M}", 2501, 0x9B555C284B44A194u},   {"\\p{P}", 855, 0xFF1C1FA0EE0C80AEu},
      {"\\p{S}", 8514, 0xEF33214FFA8A60DAu},   {"\\p{Lu}", 1858, 0xE0E481F9B9AC6D08u},
      {"\\p{Ll}", 2258, 0xF2719655913AEB3Au},  {"\\p{Han}", 99030, 0x98F19CEB0CE18CDBu},
      {"\\d", 760, 0x8AB68431D58920ADu},       {"[[:punct:]]", 9369, 0x758ACA89BB6FB78Du},
  };
  const RegexScratchPtr scratch = make_regex_scratch();
  for (const auto& expected : cases) {
    const Regex regex(expected.pattern, "test");
    const auto contains = [&](char32_t c) {
      const std::string text = utf8(c);
      return regex.find(text, 0, Regex::chars_of(text), *scratch).has_value();
    };
    check({expected.pattern, contains, expected.count, expected.checksum});
  }
}

TEST(Normalize, MapsEachCharacterAsHuggingFace) {
  struct {
    NormalForm form;
    int count;
    uint64_t checksum;
  } const cases[] = {
      {NormalForm::kNfc, 1120, 0x8171EA43B4BD9B29u},
      {NormalForm::kNfd, 13232, 0x9D517E8601758ADDu},
      {NormalForm::kNfkc, 4794, 0x0A01B524C66C128Du},
      {NormalForm::kNfkd, 16894, 0xC166BDB358BA9BB8u},
  };
  for (const auto& expected : cases) {
    Checksum sum;
    for_all_chars([&](char32_t c) {
      const std::string text = normalize(utf8(c), expected.form);
      if (text == utf8(c)) return;
      sum.mix(c);
      for_each_char(text, [&](char32_t mapped, std::string_view) { sum.mix(mapped); });
      ++sum.count;
    });
    EXPECT_EQ(sum.count, expected.count);
    EXPECT_EQ(sum.value, expected.checksum);
  }
}

TEST(Lowercase, MapsEachCharacterAsHuggingFace) {
  Checksum sum;
  for_all_chars([&](char32_t c) {
    std::string text;
    append_lowercase(text, c);
    if (text == utf8(c)) return;
    sum.mix(c);
    for_each_char(text, [&](char32_t mapped, std::string_view) { sum.mix(mapped); });
    ++sum.count;
  });
  EXPECT_EQ(sum.count, 1488);
  EXPECT_EQ(sum.value, 0xB1EA558E7D0299ABu);
}

TEST(Normalize, OrdersALongRunOfMarksInLinearTime) {
  std::string marks;
  for (int i = 0; i < 200'000; ++i) marks += i % 2 == 0 ? "\u0301" : "\u0323";
  const std::string ordered = normalize("a" + marks, NormalForm::kNfd);
  EXPECT_EQ(ordered.substr(1, 4), "\u0323\u0323");
  EXPECT_EQ(ordered.size(), marks.size() + 1);
}

// The examples of the Unicode standard, section 3.9: one U+FFFD for each maximal subpart.
TEST(ToValidUtf8, ReplacesMaximalSubparts) {
  const std::string r(kReplacementUtf8);
  EXPECT_EQ(to_valid_utf8("a\xF1\x80\x80\xE1\x80\xC2"
                          "b\x80"
                          "c\x80\xBF"
                          "d"),
            "a" + r + r + r + "b" + r + "c" + r + r + "d");
  EXPECT_EQ(to_valid_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82"), r + r + r + r + r + r + r + r);
  EXPECT_EQ(to_valid_utf8("\xED\xA0\x80"), r + r + r);
  EXPECT_EQ(to_valid_utf8("\xE2\x82"), r);
  EXPECT_TRUE(decode_char("\xE2\x82").truncated);
  EXPECT_FALSE(decode_char("\xE2\x41").truncated);
}

}  // namespace
}  // namespace hearth::tokenizer
