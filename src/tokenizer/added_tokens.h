// Finds added tokens in text, leftmost and longest first. Immutable.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/spec.h"

namespace hearth::tokenizer {

class AddedTokenMatcher {
 public:
  // A stretch of text that is one added token, or none (token == nullptr).
  struct Span {
    std::string_view text;
    const AddedToken* token = nullptr;
  };
  enum class SpecialTokens { kMatch, kSkip };

  // `contents[i]` is the text to look for `tokens[i]` (its normalized form where that is wanted).
  void add(std::string_view content, const AddedToken& token);

  bool empty() const { return tokens_.empty(); }

  // Cuts `text` into spans, in order. White space that an lstrip or rstrip token eats belongs to
  // it.
  void split(std::string_view text, SpecialTokens special, std::vector<Span>& out) const;

 private:
  struct Node {
    std::vector<std::pair<uint8_t, int32_t>> children;  // sorted by byte
    int32_t token = -1;
  };
  struct Hit {
    int32_t token = -1;
    size_t end = 0;
  };

  Hit longest_at(std::string_view text, size_t at) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::vector<int32_t> first_ = std::vector<int32_t>(256, -1);  // the root's children
};

}  // namespace hearth::tokenizer
