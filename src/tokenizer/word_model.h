// The models that look words up: WordPiece (greedy, longest first) and WordLevel. Immutable.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/spec.h"

namespace hearth::tokenizer {

class WordPiece {
 public:
  WordPiece(WordPieceSpec spec, const std::string& where);
  const Vocab& vocab() const { return spec_.vocab; }
  void encode(std::string_view word, std::vector<int32_t>& out) const;

 private:
  WordPieceSpec spec_;
  int32_t unk_id_ = kNoToken;
  size_t piece_bytes_max_ = 0;
};

class WordLevel {
 public:
  WordLevel(WordLevelSpec spec, const std::string& where);
  const Vocab& vocab() const { return spec_.vocab; }
  void encode(std::string_view word, std::vector<int32_t>& out) const;

 private:
  WordLevelSpec spec_;
  int32_t unk_id_ = kNoToken;
};

}  // namespace hearth::tokenizer
