// Tokenizer files: whatever the bytes, loading gives a tokenizer that works or an Error.
// The first byte chooses the kind of file.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "tokenizer/load.h"
#include "tokenizer/stream_decoder.h"
#include "tokenizer/tokenizer.h"

namespace {

using namespace hearth::tokenizer;

TokenizerSpec parse(char kind, std::string_view bytes) {
  switch (kind) {
    case 's':
      return parse_sentencepiece(bytes, SpmPrefix::kLegacy, "tokenizer.model");
    case 'v': {
      const size_t cut = bytes.find('\n');
      return parse_vocab_and_merges(bytes.substr(0, cut),
                                    cut == bytes.npos ? std::string_view() : bytes.substr(cut + 1),
                                    "GPT2Tokenizer", "vocab.json");
    }
    default:
      return parse_tokenizer_json(bytes, "tokenizer.json");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  try {
    const Tokenizer tokenizer(parse(input[0], input.substr(1)));
    for (const std::string_view text : {std::string_view("Hello  world é 12\n"), input}) {
      const auto ids = tokenizer.encode(text);
      tokenizer.decode(ids, SkipSpecial::kNo);
    }
  } catch (const hearth::Error&) {
  }
  return 0;
}
