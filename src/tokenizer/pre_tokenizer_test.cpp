#include "tokenizer/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hearth::tokenizer {
namespace {

using testing::ElementsAre;

const std::string kText = "Hey  there's 12345 you-all!\n ok\u00a0中文 É";

std::vector<std::string> split(const std::vector<PreTokenizerSpec>& specs,
                               std::string_view text = kText) {
  const PreTokenizer pre_tokenizer(specs, PreTokenizer::ByteOutput::kChars, "test");
  Pieces pieces;
  pieces.now.push_back({text, true});
  pre_tokenizer.apply(pieces, *make_regex_scratch());
  std::vector<std::string> out;
  for (const Piece& piece : pieces.now) out.emplace_back(piece.text);
  return out;
}

// Expected values: Hugging Face's tokenizers 0.23.1.
TEST(PreTokenizer, DoesEachStep) {
  EXPECT_THAT(split({pre::ByteLevel{.add_prefix_space = false}}),
              ElementsAre("Hey", "Ġ", "Ġthere", "'s", "Ġ12345", "Ġyou", "-", "all", "!", "Ċ", "Ġok",
                          "Âł", "ä¸Ńæĸĩ", "ĠÃī"));
  EXPECT_THAT(split({pre::ByteLevel{}}, "a b"), ElementsAre("Ġa", "Ġb"));
  EXPECT_THAT(split({pre::Metaspace{}}),
              ElementsAre("▁Hey", "▁", "▁there's", "▁12345", "▁you-all!\n", "▁ok\u00a0中文", "▁É"));
  EXPECT_THAT(
      split({pre::Metaspace{.prepend_scheme = PrependScheme::kNever, .split = false}}, "a  b"),
      ElementsAre("a▁▁b"));
  EXPECT_THAT(split({pre::Whitespace{}}), ElementsAre("Hey", "there", "'", "s", "12345", "you", "-",
                                                      "all", "!", "ok", "中文", "É"));
  EXPECT_THAT(split({pre::WhitespaceSplit{}}),
              ElementsAre("Hey", "there's", "12345", "you-all!", "ok", "中文", "É"));
  EXPECT_THAT(split({pre::Digits{}}),
              ElementsAre("Hey  there's ", "12345", " you-all!\n ok\u00a0中文 É"));
  EXPECT_THAT(split({pre::Digits{.individual_digits = true}}, "a12b"),
              ElementsAre("a", "1", "2", "b"));
  EXPECT_THAT(split({pre::Punctuation{}}, "a--b!"), ElementsAre("a", "-", "-", "b", "!"));
  EXPECT_THAT(split({pre::Punctuation{SplitBehavior::kContiguous}}, "a--b!"),
              ElementsAre("a", "--", "b", "!"));
  EXPECT_THAT(split({pre::Bert{}}), ElementsAre("Hey", "there", "'", "s", "12345", "you", "-",
                                                "all", "!", "ok", "中文", "É"));
  EXPECT_THAT(split({pre::CharDelimiter{"e"}}),
              ElementsAre("H", "y  th", "r", "'s 12345 you-all!\n ok\u00a0中文 É"));
  EXPECT_THAT(split({pre::FixedLength{7}}),
              ElementsAre("Hey  th", "ere's 1", "2345 yo", "u-all!\n", " ok\u00a0中文 ", "É"));
}

TEST(PreTokenizer, SplitsWhereTheScriptChanges) {
  const auto scripts = [](std::string_view text) { return split({pre::UnicodeScripts{}}, text); };
  EXPECT_THAT(scripts(kText), ElementsAre("Hey  there", "'", "s ", "12345 ", "you", "-", "all",
                                          "!\n ", "ok", "\u00a0", "中文 ", "É"));
  EXPECT_THAT(scripts("ひらがなカタカナ漢字ー。ok"),
              ElementsAre("ひらがなカタカナ漢字ー", "。", "ok"));
  EXPECT_THAT(scripts("これは test です"), ElementsAre("これは ", "test ", "です"));
  EXPECT_THAT(scripts("Привет, мир"), ElementsAre("Привет", ", ", "мир"));
  EXPECT_THAT(scripts("한국어 漢字"), ElementsAre("한국어 ", "漢字"));
  EXPECT_THAT(scripts("e\u0301 \u0301"), ElementsAre("e", "\u0301 \u0301"));
  EXPECT_THAT(scripts("a \u0378b"), ElementsAre("a \u0378b"));  // U+0378 is not assigned
  // Spaces in front belong to nothing.
  EXPECT_THAT(scripts("  a"), ElementsAre("a"));
  EXPECT_THAT(scripts("    "), ElementsAre());
  EXPECT_THAT(
      split({pre::UnicodeScripts{}, pre::Metaspace{.prepend_scheme = PrependScheme::kFirst}},
            " a b中 12"),
      ElementsAre("a", "▁b", "中", "▁", "12"));
}

TEST(PreTokenizer, SplitsWithEachBehavior) {
  const std::string tail = " you-all!\n ok\u00a0中文 É";
  const auto by = [&](SplitBehavior behavior, bool invert) {
    return split({pre::Split{{Pattern::Kind::kRegex, "[0-9]{2}|e"}, behavior, invert}});
  };
  EXPECT_THAT(by(SplitBehavior::kRemoved, false),
              ElementsAre("H", "y  th", "r", "'s ", "5" + tail));
  EXPECT_THAT(by(SplitBehavior::kRemoved, true), ElementsAre("e", "e", "e", "12", "34"));
  EXPECT_THAT(by(SplitBehavior::kIsolated, false),
              ElementsAre("H", "e", "y  th", "e", "r", "e", "'s ", "12", "34", "5" + tail));
  EXPECT_THAT(by(SplitBehavior::kMergedWithPrevious, false),
              ElementsAre("He", "y  the", "re", "'s 12", "34", "5" + tail));
  EXPECT_THAT(by(SplitBehavior::kMergedWithPrevious, true),
              ElementsAre("H", "ey  th", "er", "e's ", "12", "345" + tail));
  EXPECT_THAT(by(SplitBehavior::kMergedWithNext, false),
              ElementsAre("H", "ey  th", "er", "e's ", "12", "345" + tail));
  EXPECT_THAT(by(SplitBehavior::kMergedWithNext, true),
              ElementsAre("He", "y  the", "re", "'s 12", "34", "5" + tail));
  EXPECT_THAT(by(SplitBehavior::kContiguous, false),
              ElementsAre("H", "e", "y  th", "e", "r", "e", "'s ", "1234", "5" + tail));
}

TEST(PreTokenizer, SplitsAtEmptyMatches) {
  EXPECT_THAT(split({pre::Split{{Pattern::Kind::kRegex, "(?=\\d{3})"}}}, "a 12345 b"),
              ElementsAre("a ", "1", "2", "345 b"));
}

TEST(PreTokenizer, PrependsOnlyAtTheStart) {
  const PreTokenizer pre_tokenizer(
      {pre::WhitespaceSplit{}, pre::Metaspace{.prepend_scheme = PrependScheme::kFirst}},
      PreTokenizer::ByteOutput::kChars, "test");
  Pieces pieces;
  pieces.now.push_back({"a b", true});
  pre_tokenizer.apply(pieces, *make_regex_scratch());
  ASSERT_EQ(pieces.now.size(), 2u);
  EXPECT_EQ(pieces.now[0].text, "▁a");
  EXPECT_EQ(pieces.now[1].text, "b");
}

}  // namespace
}  // namespace hearth::tokenizer
