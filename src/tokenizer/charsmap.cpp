#include "tokenizer/charsmap.h"

#include <cstring>
#include <utf8proc.h>

#include "base/error.h"
#include "tokenizer/unicode.h"

namespace hearth::tokenizer {
namespace {

// The fields of one unit of a Darts double array.
bool has_leaf(uint32_t unit) { return (unit >> 8 & 1) == 1; }
uint32_t leaf_value(uint32_t unit) { return unit & 0x7FFFFFFF; }
uint32_t label(uint32_t unit) { return unit & (0x80000000u | 0xFF); }
uint32_t offset(uint32_t unit) { return unit >> 10 << ((unit & 0x200) >> 6); }

// Graphemes of six bytes and more are mapped character by character.
constexpr size_t kGraphemeBytesMax = 6;

}  // namespace

Charsmap::Charsmap(std::string_view blob, const std::string& where) {
  uint32_t trie_bytes = 0;
  const auto refuse = [&] {
    throw_error(ErrorCode::kDataLoss, where,
                "precompiled_charsmap is cut short: {} bytes with a trie of {}", blob.size(),
                trie_bytes);
  };
  if (blob.size() < sizeof trie_bytes) refuse();
  std::memcpy(&trie_bytes, blob.data(), sizeof trie_bytes);
  blob.remove_prefix(sizeof trie_bytes);
  if (trie_bytes > blob.size() || trie_bytes % sizeof(uint32_t) != 0 || trie_bytes == 0) refuse();
  units_.resize(trie_bytes / sizeof(uint32_t));
  std::memcpy(units_.data(), blob.data(), trie_bytes);
  replacements_ = to_valid_utf8(blob.substr(trie_bytes));
}

// The replacement of the shortest prefix of `chunk` that the map knows.
std::optional<std::string_view> Charsmap::transform(std::string_view chunk) const {
  uint32_t node = offset(units_[0]);
  for (const char byte : chunk) {
    if (byte == 0) break;
    node ^= static_cast<uint8_t>(byte);
    if (node >= units_.size() || label(units_[node]) != static_cast<uint8_t>(byte)) break;
    const uint32_t unit = units_[node];
    node ^= offset(unit);
    if (node >= units_.size()) break;
    if (has_leaf(unit)) {
      const uint32_t at = leaf_value(units_[node]);
      if (at >= replacements_.size()) return std::nullopt;
      const std::string_view rest = std::string_view(replacements_).substr(at);
      return rest.substr(0, rest.find('\0'));
    }
  }
  return std::nullopt;
}

std::string Charsmap::apply(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  const auto map_grapheme = [&](std::string_view grapheme) {
    if (grapheme.size() < kGraphemeBytesMax) {
      if (const auto replacement = transform(grapheme)) {
        out += *replacement;
        return;
      }
    }
    for_each_char(grapheme, [&](char32_t, std::string_view bytes) {
      out += transform(bytes).value_or(bytes);
    });
  };
  size_t start = 0;
  size_t at = 0;
  utf8proc_int32_t previous = -1;
  utf8proc_int32_t state = 0;
  for_each_char(text, [&](char32_t c, std::string_view bytes) {
    const auto next = static_cast<utf8proc_int32_t>(c);
    if (previous >= 0 && utf8proc_grapheme_break_stateful(previous, next, &state)) {
      map_grapheme(text.substr(start, at - start));
      start = at;
    }
    previous = next;
    at += bytes.size();
  });
  if (start < text.size()) map_grapheme(text.substr(start));
  return out;
}

}  // namespace hearth::tokenizer
