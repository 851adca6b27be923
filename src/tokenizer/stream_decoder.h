// Decodes tokens as they come. What push() returns is final and whole UTF-8; all of it, and then
// finish(), is exactly what Tokenizer::decode() gives for the same ids. One thread at a time; the
// tokenizer must outlive it.
#pragma once

#include <cstdint>
#include <string>

#include "tokenizer/decoder.h"
#include "tokenizer/tokenizer.h"

namespace hearth::tokenizer {

class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, SkipSpecial skip = SkipSpecial::kYes)
      : tokenizer_(tokenizer), skip_(skip), chain_(tokenizer.start_decoding()) {}

  // The text that is certain once `id` is known; often empty in the middle of a character.
  std::string push(int32_t id) {
    std::string out;
    if (const auto text = tokenizer_.decodable_text(id, skip_)) chain_.push(*text, out);
    return out;
  }

  // What was held back. Nothing may be pushed afterwards.
  std::string finish() {
    std::string out;
    chain_.finish(out);
    return out;
  }

 private:
  const Tokenizer& tokenizer_;
  SkipSpecial skip_;
  DecodeChain chain_;
};

}  // namespace hearth::tokenizer
