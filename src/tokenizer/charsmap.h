// SentencePiece's precompiled character map: a Darts double-array trie from byte strings to their
// replacements, applied grapheme by grapheme as Hugging Face's 'Precompiled' normalizer does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::tokenizer {

class Charsmap {
 public:
  // Throws Error kDataLoss naming `where` when the blob is cut short.
  Charsmap(std::string_view blob, const std::string& where);

  std::string apply(std::string_view text) const;

 private:
  std::optional<std::string_view> transform(std::string_view chunk) const;

  std::vector<uint32_t> units_;
  std::string replacements_;  // each ends with a zero byte
};

}  // namespace hearth::tokenizer
