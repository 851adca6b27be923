#include "tokenizer/normalizer.h"

#include <gtest/gtest.h>

namespace hearth::tokenizer {
namespace {

std::string apply(const std::vector<NormalizerSpec>& specs, std::string text) {
  const Normalizer normalizer(specs, "test");
  NormalizedText normalized{std::move(text)};
  normalizer.apply(normalized, *make_regex_scratch());
  return normalized.text;
}

// Expected values: Hugging Face's tokenizers 0.23.1.
TEST(Normalizer, DoesEachStep) {
  const std::string latin = "Élan ﬁne ½ İSTANBUL ǅ";
  const std::string words = "Hello,  World! It's 2024\n\n";
  const std::string marks = " a\u0301 \u00e1\u0323 한글 中文字";
  const std::string odd = "x_1-y\u2003z\u0085k\u200dw";
  EXPECT_EQ(apply({norm::Unicode{NormalForm::kNfc}}, marks), " \u00e1 \u1ea1\u0301 한글 中文字");
  EXPECT_EQ(apply({norm::Unicode{NormalForm::kNfkc}}, latin),
            "Élan fine 1\u20442 İSTANBUL D\u017e");
  EXPECT_EQ(apply({norm::Lowercase{}}, latin), "élan ﬁne ½ i\u0307stanbul ǆ");
  EXPECT_EQ(apply({norm::Strip{}}, words), "Hello,  World! It's 2024");
  EXPECT_EQ(apply({norm::Strip{.left = true, .right = false}}, marks).substr(0, 1), "a");
  EXPECT_EQ(apply({norm::Unicode{NormalForm::kNfd}, norm::StripAccents{}}, latin),
            "Elan ﬁne ½ ISTANBUL ǅ");
  EXPECT_EQ(apply({norm::Replace{{Pattern::Kind::kRegex, " {2,}"}, "_"}}, words),
            "Hello,_World! It's 2024\n\n");
  EXPECT_EQ(apply({norm::Replace{{Pattern::Kind::kLiteral, "l"}, "LL"}}, "hello"), "heLLLLo");
  EXPECT_EQ(apply({norm::Prepend{"▁"}}, "a"), "▁a");
  EXPECT_EQ(apply({norm::Prepend{"▁"}}, ""), "");
  EXPECT_EQ(apply({norm::Bert{}}, marks), " a a \u1112\u1161\u11ab\u1100\u1173\u11af  中  文  字 ");
  EXPECT_EQ(apply({norm::Bert{}}, odd), "x_1-y zkw");
  EXPECT_EQ(apply({norm::Bert{}}, words), "hello,  world! it's 2024  ");
  EXPECT_EQ(apply({norm::Nmt{}}, odd), "x_1-y\u2003z\u0085k w");
  EXPECT_EQ(apply({norm::ByteLevel{}}, marks), "ĠaÌģĠÃ¡Ì£Ġíķľê¸ĢĠä¸ŃæĸĩåŃĹ");
}

TEST(Normalizer, NotesThatTheStartIsGone) {
  const Normalizer normalizer({norm::Strip{}}, "test");
  NormalizedText text{"  a"};
  normalizer.apply(text, *make_regex_scratch());
  EXPECT_FALSE(text.at_start);
}

}  // namespace
}  // namespace hearth::tokenizer
