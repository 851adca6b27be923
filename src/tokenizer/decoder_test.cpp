#include "tokenizer/decoder.h"

#include <gtest/gtest.h>

#include "tokenizer/unicode.h"

namespace hearth::tokenizer {
namespace {

using Tokens = std::vector<std::string>;

std::string decode(const Decoder& decoder, const Tokens& tokens) {
  DecodeChain chain(decoder);
  std::string all;
  for (const std::string& token : tokens) {
    std::string part;
    chain.push(token, part);
    EXPECT_TRUE(is_valid_utf8(part)) << token;
    all += part;
  }
  chain.finish(all);
  return all;
}

std::string decode(std::vector<DecoderSpec> specs, const Tokens& tokens) {
  return decode(Decoder(std::move(specs), Decoder::Cleanup::kOff, "test"), tokens);
}

const Tokens kSpm = {"▁Hey", "▁▁you", "<0xE4>", "<0xBD>", "<0xA0>", "<0xFF>", "▁x"};
const Tokens kWords = {"He", "##llo", "!", "do", "n't", "."};
const Tokens kBytes = {"Ġa", "Ã", "©", "Ġ", "ä", "b", " c"};
const std::string kBad = "\uFFFD";

std::vector<DecoderSpec> llama() {
  return {dec::Replace{{Pattern::Kind::kLiteral, "▁"}, " "}, dec::ByteFallback{}, dec::Fuse{},
          dec::Strip{" ", 1, 0}};
}

// Expected values: Hugging Face's tokenizers 0.23.1.
TEST(Decoder, DoesEachStep) {
  EXPECT_EQ(decode({dec::ByteLevel{}}, kBytes), " aé " + kBad + "b c");
  EXPECT_EQ(decode({dec::ByteLevel{}}, kSpm), "▁Hey▁▁you<0xE4><0xBD><0xA0><0xFF>▁x");
  EXPECT_EQ(decode({dec::Metaspace{}}, kSpm), "Hey  you<0xE4><0xBD><0xA0><0xFF> x");
  EXPECT_EQ(decode({dec::ByteFallback{}}, kSpm), "▁Hey▁▁you" + kBad + kBad + kBad + kBad + "▁x");
  EXPECT_EQ(decode({dec::ByteFallback{}}, {"<0xE4>", "<0xBD>", "<0xA0>", "a"}), "你a");
  EXPECT_EQ(decode({dec::WordPiece{}}, kWords), "Hello! don't.");
  EXPECT_EQ(decode({dec::Bpe{}}, {"hel", "lo</w>", "you</w>"}), "hello you");
  EXPECT_EQ(decode({dec::Ctc{}}, {"<pad>", "h", "h", "<pad>", "h", "|", "|", "i"}), "hh i");
  EXPECT_EQ(decode(llama(), kSpm), "Hey  you" + kBad + kBad + kBad + kBad + " x");
  EXPECT_EQ(decode({dec::Strip{"h", 1, 1}}, {"hah", "h", "bh"}), "ab");
  EXPECT_EQ(decode({dec::Replace{{Pattern::Kind::kRegex, "[a-h]"}, "."}}, {"ab", "xh"}), "..x.");
}

TEST(Decoder, JoinsTokensWithSpacesWithoutASpec) {
  const Decoder decoder(std::nullopt, Decoder::Cleanup::kOff, "test");
  EXPECT_EQ(decode(decoder, {"a", "b"}), "a b");
}

TEST(Decoder, CleansUpAcrossTokens) {
  const Decoder decoder(std::nullopt, Decoder::Cleanup::kOn, "test");
  EXPECT_EQ(
      decode(decoder, {"He", "does", "n't", "say", "'", "hi", "'", ",", "I", "'m", "sure", "."}),
      "He doesn't say'hi ', I'm sure.");
}

TEST(DecodeChain, HoldsHalfACharacterBack) {
  const Decoder decoder(std::vector<DecoderSpec>{dec::ByteLevel{}}, Decoder::Cleanup::kOff, "test");
  DecodeChain chain(decoder);
  std::string out;
  chain.push("aÃ", out);
  EXPECT_EQ(out, "a");
  chain.push("©", out);
  EXPECT_EQ(out, "aé");
  chain.push("Ã", out);
  chain.finish(out);
  EXPECT_EQ(out, "aé" + kBad);
}

TEST(DecodeChain, HoldsARunOfByteTokensUntilItEnds) {
  const Decoder decoder(llama(), Decoder::Cleanup::kOff, "test");
  DecodeChain chain(decoder);
  std::string out;
  for (const char* token : {"<0xC3>", "<0xA9>"}) chain.push(token, out);
  EXPECT_EQ(out, "");
  chain.push("x", out);
  EXPECT_EQ(out, "éx");
}

TEST(Decoder, GivesTheBytesOfAToken) {
  const Decoder bytes(std::vector<DecoderSpec>{dec::ByteLevel{}}, Decoder::Cleanup::kOff, "test");
  EXPECT_EQ(bytes.bytes_of("ĠaÃ"), " a\xC3");
  EXPECT_EQ(bytes.bytes_of("  "), "  ");
  const Decoder spm(llama(), Decoder::Cleanup::kOff, "test");
  EXPECT_EQ(spm.bytes_of("▁the"), " the");
  EXPECT_EQ(spm.bytes_of("<0xFF>"), "\xFF");
}

}  // namespace
}  // namespace hearth::tokenizer
