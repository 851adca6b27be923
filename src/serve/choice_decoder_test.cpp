#include "serve/choice_decoder.h"

#include <gtest/gtest.h>

#include "serve/fake_model.h"

namespace hearth::serve {
namespace {

struct Told {
  std::string text;
  std::vector<std::string> tokens;
  std::vector<int32_t> offsets;
};

Told decode(const std::string& text, ChoiceDecoder::Setup setup) {
  const auto codec = fake_model().codec;
  setup.logprobs = Logprobs::kYes;
  ChoiceDecoder decoder(*codec, codec->stream({}, SpecialTokens::kSkip), std::move(setup));
  Told told;
  const auto take = [&](const Decoded& decoded) {
    told.text += decoded.text;
    for (const TokenText& token : decoded.tokens) {
      told.tokens.push_back(token.bytes);
      told.offsets.push_back(token.text_offset);
    }
  };
  for (const char c : text) {
    engine::SampledToken token;
    token.token = static_cast<unsigned char>(c);
    take(decoder.feed(token));
  }
  take(decoder.finish());
  return told;
}

TEST(ChoiceDecoder, TokensTravelWithTheirText) {
  const Told told = decode("a\xC3\xA9z", {});
  EXPECT_EQ(told.text, "a\xC3\xA9z");
  EXPECT_EQ(told.tokens, (std::vector<std::string>{"a", "\xC3", "\xA9", "z"}));
  EXPECT_EQ(told.offsets, (std::vector<int32_t>{0, 1, 1, 2}));
}

TEST(ChoiceDecoder, TokensOfAStopAreNotTold) {
  const Told told = decode("ab<<cd", {.stops = {"<<"}});
  EXPECT_EQ(told.text, "ab");
  EXPECT_EQ(told.tokens, (std::vector<std::string>{"a", "b"}));
}

TEST(ChoiceDecoder, StopsWaitForMinTokens) {
  EXPECT_EQ(decode("xaxb", {.stops = {"x"}, .min_tokens = 2}).text, "xa");
}

}  // namespace
}  // namespace hearth::serve
