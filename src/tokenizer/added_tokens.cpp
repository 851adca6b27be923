#include "tokenizer/added_tokens.h"

#include <algorithm>

namespace hearth::tokenizer {
namespace {

bool ends_with_word(std::string_view text) {
  return !text.empty() && is_word(decode_char(text.substr(last_char_start(text))).value);
}

bool starts_with_word(std::string_view text) {
  return !text.empty() && is_word(decode_char(text).value);
}

size_t trailing_space_bytes(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    const size_t start = last_char_start(text.substr(0, end));
    if (!is_white_space(decode_char(text.substr(start, end - start)).value)) break;
    end = start;
  }
  return text.size() - end;
}

size_t leading_space_bytes(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Char c = decode_char(text.substr(at));
    if (!is_white_space(c.value)) break;
    at += c.bytes;
  }
  return at;
}

}  // namespace

void AddedTokenMatcher::add(std::string_view content, const AddedToken& token) {
  if (content.empty()) return;
  int32_t node = 0;
  for (const char c : content) {
    const auto byte = static_cast<uint8_t>(c);
    auto& children = nodes_[static_cast<size_t>(node)].children;
    const auto at = std::lower_bound(children.begin(), children.end(), std::pair(byte, INT32_MIN));
    if (at != children.end() && at->first == byte) {
      node = at->second;
      continue;
    }
    const auto child = static_cast<int32_t>(nodes_.size());
    children.insert(at, {byte, child});
    if (node == 0) first_[byte] = child;
    nodes_.emplace_back();
    node = child;
  }
  Node& last = nodes_[static_cast<size_t>(node)];
  if (last.token >= 0) return;  // of two tokens with one text, the first wins
  last.token = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(token);
}

AddedTokenMatcher::Hit AddedTokenMatcher::longest_at(std::string_view text, size_t at) const {
  Hit hit;
  int32_t node = first_[static_cast<uint8_t>(text[at])];
  for (++at; node >= 0; ++at) {
    const Node& here = nodes_[static_cast<size_t>(node)];
    if (here.token >= 0) hit = {here.token, at};
    if (at == text.size()) break;
    const auto byte = static_cast<uint8_t>(text[at]);
    const auto child =
        std::lower_bound(here.children.begin(), here.children.end(), std::pair(byte, INT32_MIN));
    node = child != here.children.end() && child->first == byte ? child->second : -1;
  }
  return hit;
}

void AddedTokenMatcher::split(std::string_view text, SpecialTokens special,
                              std::vector<Span>& out) const {
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const Hit hit = longest_at(text, at);
    if (hit.token < 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<size_t>(hit.token)];
    size_t begin = at;
    size_t end = hit.end;
    at = hit.end;  // a match that is discarded below still uses up its text
    if (token.special && special == SpecialTokens::kSkip) continue;
    if (token.single_word &&
        (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end)))) {
      continue;
    }
    if (token.lstrip) {
      begin = std::max(done, begin - trailing_space_bytes(text.substr(0, begin)));
    }
    if (token.rstrip) end += leading_space_bytes(text.substr(end));
    if (done < begin) out.push_back({text.substr(done, begin - done), nullptr});
    out.push_back({text.substr(begin, end > begin ? end - begin : 0), &token});
    done = end;
  }
  if (done < text.size()) out.push_back({text.substr(done), nullptr});
}

}  // namespace hearth::tokenizer
