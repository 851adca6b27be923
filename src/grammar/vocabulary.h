// A tokenizer's tokens as bytes, in a trie, for grammars to walk. Built once per tokenizer;
// immutable afterwards, shared by every grammar and thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::grammar {

class Vocabulary {
 public:
  // tokens[id] are the bytes that token adds to the text; empty for special tokens, which no
  // grammar ever allows. `end_tokens` end the sequence; allowed exactly where the grammar may end.
  Vocabulary(std::vector<std::string> tokens, std::vector<int32_t> end_tokens);

  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }
  size_t mask_words() const { return (tokens_.size() + 31) / 32; }
  std::string_view bytes(int32_t token) const { return tokens_[token]; }
  const std::vector<int32_t>& end_tokens() const { return end_tokens_; }
  bool is_end(int32_t token) const;
  // The length of the longest token.
  int32_t bytes_max() const { return bytes_max_; }

  // The trie in depth-first order: a node's subtree is [node, node.end). Siblings are sorted by
  // byte. Nodes of depth 1 are the first bytes; the empty root is left out.
  struct Node {
    int32_t end = 0;
    int32_t token_begin = 0;  // tokens that end here: token_ids[token_begin, token_end)
    int32_t token_end = 0;
    uint16_t depth = 0;
    uint8_t byte = 0;
  };
  std::span<const Node> nodes() const { return nodes_; }
  std::span<const int32_t> token_ids() const { return token_ids_; }

 private:
  void build_trie();

  std::vector<std::string> tokens_;
  std::vector<int32_t> end_tokens_;
  std::vector<Node> nodes_;
  std::vector<int32_t> token_ids_;
  int32_t bytes_max_ = 0;
};

}  // namespace hearth::grammar
