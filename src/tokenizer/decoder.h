// Decoders: token texts back to text, one token at a time.
//
// A Decoder is the immutable recipe; a DecodeChain is one pass through it and belongs to one
// thread. There is one implementation for whole and for streamed decoding, so the two cannot
// differ.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/regex.h"
#include "tokenizer/spec.h"

namespace hearth::tokenizer {

class Decoder {
 public:
  enum class Cleanup { kOff, kOn };  // transformers' clean_up_tokenization_spaces

  Decoder(const std::optional<std::vector<DecoderSpec>>& specs, Cleanup cleanup,
          const std::string& where);

  // The bytes that a token in the middle of a text contributes.
  std::string bytes_of(std::string_view token_text) const;

 private:
  friend class DecodeChain;

  struct Step {
    DecoderSpec spec;
    std::optional<Regex> regex;  // of a Replace
  };

  std::vector<Step> steps_;
  bool joins_with_spaces_ = false;
  Cleanup cleanup_;
};

class DecodeChain {
 public:
  explicit DecodeChain(const Decoder& decoder);
  ~DecodeChain();
  DecodeChain(DecodeChain&&) noexcept;

  // Appends to `out` what is certain, whatever follows.
  void push(std::string_view token_text, std::string& out);
  // Appends what was held back. The chain is spent.
  void finish(std::string& out);

  class Stage;

 private:
  std::vector<std::unique_ptr<Stage>> stages_;
};

}  // namespace hearth::tokenizer
