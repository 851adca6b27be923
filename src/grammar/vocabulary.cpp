#include "grammar/vocabulary.h"

#include <algorithm>

#include "base/error.h"

namespace hearth::grammar {
namespace {

// A single token longer than this is a broken tokenizer, and the trie's depth is 16 bits.
constexpr size_t kTokenBytesMax = 4096;

size_t common_prefix(std::string_view a, std::string_view b) {
  const auto [left, right] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<size_t>(left - a.begin());
}

}  // namespace

Vocabulary::Vocabulary(std::vector<std::string> tokens, std::vector<int32_t> end_tokens)
    : tokens_(std::move(tokens)), end_tokens_(std::move(end_tokens)) {
  for (const int32_t token : end_tokens_) {
    if (token < 0 || token >= size()) {
      throw_error(ErrorCode::kInvalidArgument, "vocabulary",
                  "end token {} is outside of the {} tokens", token, size());
    }
    // Its text, if it has one, is not something a grammar may spell with it.
    tokens_[token].clear();
  }
  build_trie();
}

bool Vocabulary::is_end(int32_t token) const {
  return std::find(end_tokens_.begin(), end_tokens_.end(), token) != end_tokens_.end();
}

void Vocabulary::build_trie() {
  for (int32_t id = 0; id < size(); ++id) {
    const std::string& bytes = tokens_[id];
    if (bytes.empty()) continue;
    if (bytes.size() > kTokenBytesMax) {
      throw_error(ErrorCode::kTooLarge, "vocabulary", "token {} has {} bytes, over the limit of {}",
                  id, bytes.size(), kTokenBytesMax);
    }
    bytes_max_ = std::max(bytes_max_, static_cast<int32_t>(bytes.size()));
    token_ids_.push_back(id);
  }
  std::sort(token_ids_.begin(), token_ids_.end(), [this](int32_t a, int32_t b) {
    const int order = tokens_[a].compare(tokens_[b]);
    return order != 0 ? order < 0 : a < b;
  });

  std::vector<int32_t> open;  // nodes on the path to the last one
  std::string_view previous;
  const auto close_to = [&](size_t depth) {
    for (; open.size() > depth; open.pop_back()) {
      nodes_[open.back()].end = static_cast<int32_t>(nodes_.size());
    }
  };
  for (int32_t i = 0; i < static_cast<int32_t>(token_ids_.size()); ++i) {
    const std::string_view bytes = tokens_[token_ids_[i]];
    if (bytes != previous) close_to(common_prefix(bytes, previous));
    for (size_t at = open.size(); at < bytes.size(); ++at) {
      open.push_back(static_cast<int32_t>(nodes_.size()));
      nodes_.push_back({.token_begin = i,
                        .token_end = i,
                        .depth = static_cast<uint16_t>(at + 1),
                        .byte = static_cast<uint8_t>(bytes[at])});
    }
    nodes_[open.back()].token_end = i + 1;
    previous = bytes;
  }
  close_to(0);
}

}  // namespace hearth::grammar
