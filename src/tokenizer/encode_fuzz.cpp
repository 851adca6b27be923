// Any text through small tokenizers of each model: ids are in range, a stream decodes to what the
// whole decodes to, and byte-level BPE gives the text back.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/stream_decoder.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

namespace {

using namespace hearth::tokenizer;

// Every byte is a token, and a few merges stand on them.
TokenizerSpec byte_level() {
  BpeSpec bpe;
  for (int byte = 0; byte < 256; ++byte) {
    std::string text;
    append_byte_chars(text, std::string(1, static_cast<char>(byte)));
    bpe.vocab.add(text, byte);
  }
  int32_t id = 256;
  for (const auto& [left, right] :
       {std::pair("Ġ", "t"), {"t", "h"}, {"th", "e"}, {"Ġ", "Ġ"}, {"a", "a"}, {"aa", "aa"}}) {
    bpe.merges.add(left, right);
    bpe.vocab.add(std::string(left) + right, id++);
  }
  TokenizerSpec spec{.where = "fuzz"};
  spec.pre_tokenizers.emplace_back(pre::ByteLevel{.add_prefix_space = false});
  spec.model = std::move(bpe);
  spec.decoders = std::vector<DecoderSpec>{dec::ByteLevel{}};
  spec.added_tokens.push_back({.id = id, .content = "<|x|>", .normalized = false, .special = true});
  return spec;
}

constexpr const char* kSentencePiece = R"({"added_tokens":[{"id":1,"content":"<s>","special":true}],
"normalizer":{"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"Prepend","prepend":"▁"},
{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},
"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},
{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},
"model":{"type":"BPE","vocab":{"<unk>":0,"<s>":1,"▁":2,"a":3,"b":4,"ab":5,"▁ab":6,"<0xC3>":7,
"<0xA9>":8,"c":9,"▁▁":10},"merges":["a b","▁ ab","▁ ▁"],"unk_token":"<unk>","fuse_unk":true,
"byte_fallback":true}})";

constexpr const char* kUnigram = R"({"normalizer":{"type":"Lowercase"},
"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"UnicodeScripts"},{"type":"Metaspace"}]},
"decoder":{"type":"Metaspace"},"model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0.0],["▁",-2.0],["a",-3],["b",-3.5],
["ab",-4.0],["▁ab",-5.5],["abc",-9.0],["c",-4.5]]}})";

constexpr const char* kWordPiece = R"({"normalizer":{"type":"BertNormalizer"},
"pre_tokenizer":{"type":"BertPreTokenizer"},"decoder":{"type":"WordPiece"},
"model":{"type":"WordPiece","vocab":{"[UNK]":0,"a":1,"##b":2,"!":3,"中":4}}})";

std::vector<std::unique_ptr<Tokenizer>> make_tokenizers() {
  std::vector<std::unique_ptr<Tokenizer>> all;
  all.push_back(std::make_unique<Tokenizer>(byte_level()));
  for (const char* json : {kSentencePiece, kUnigram, kWordPiece}) {
    all.push_back(Tokenizer::from_json(json, R"({"clean_up_tokenization_spaces":true})"));
  }
  return all;
}

std::string stream(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  StreamDecoder decoder(tokenizer, SkipSpecial::kNo);
  std::string text;
  for (const int32_t id : ids) {
    const std::string part = decoder.push(id);
    CHECK(is_valid_utf8(part));
    text += part;
  }
  return text + decoder.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto tokenizers = make_tokenizers();
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const auto& tokenizer : tokenizers) {
    const auto ids = tokenizer->encode(text, AddSpecial::kNo);
    for (const int32_t id : ids) CHECK(id >= 0 && id < tokenizer->vocab_size(), "id {}", id);
    const std::string decoded = tokenizer->decode(ids, SkipSpecial::kNo);
    CHECK(stream(*tokenizer, ids) == decoded);
    if (tokenizer == tokenizers.front()) CHECK(decoded == to_valid_utf8(text));
  }
  return 0;
}
