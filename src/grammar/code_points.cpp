#include "grammar/code_points.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace hearth::grammar {
namespace {

constexpr uint32_t kLast = 0x10FFFF;
constexpr uint32_t kSurrogateFirst = 0xD800;
constexpr uint32_t kSurrogateLast = 0xDFFF;

std::vector<CodePointRange> normalised(std::vector<CodePointRange> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const auto& a, const auto& b) { return a.low < b.low; });
  std::vector<CodePointRange> merged;
  for (const auto& range : ranges) {
    if (range.high < range.low) continue;
    if (!merged.empty() && range.low <= merged.back().high + 1) {
      merged.back().high = std::max(merged.back().high, range.high);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

std::vector<CodePointRange> without_surrogates(const std::vector<CodePointRange>& ranges) {
  std::vector<CodePointRange> kept;
  for (const auto& range : ranges) {
    const uint32_t high = std::min(range.high, kLast);
    if (range.low < kSurrogateFirst) {
      kept.push_back({range.low, std::min(high, kSurrogateFirst - 1)});
    }
    if (high > kSurrogateLast) kept.push_back({std::max(range.low, kSurrogateLast + 1), high});
  }
  return kept;
}

using Utf8 = std::array<uint8_t, 4>;

int encode(uint32_t c, Utf8& out) {
  if (c < 0x80) {
    out[0] = static_cast<uint8_t>(c);
    return 1;
  }
  const int length = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  for (int i = length - 1; i > 0; --i, c >>= 6) out[i] = static_cast<uint8_t>(0x80 | (c & 0x3F));
  out[0] = static_cast<uint8_t>((0xF00 >> length & 0xFF) | c);
  return length;
}

// [low, high] have the same length, and the same bytes but for a tail that spans it fully.
void add_sequences(Ir& ir, uint32_t low, uint32_t high, std::vector<ExprId>& out) {
  for (const uint32_t edge : {0x7Fu, 0x7FFu, 0xFFFFu}) {
    if (low <= edge && high > edge) {
      add_sequences(ir, low, edge, out);
      add_sequences(ir, edge + 1, high, out);
      return;
    }
  }
  for (uint32_t tail = 0x3F; tail <= 0x3FFFF; tail = tail << 6 | 0x3F) {
    if ((low & ~tail) == (high & ~tail) || high < 0x80) break;
    if ((low & tail) != 0) {
      add_sequences(ir, low, low | tail, out);
      add_sequences(ir, (low | tail) + 1, high, out);
      return;
    }
    if ((high & tail) != tail) {
      add_sequences(ir, low, (high & ~tail) - 1, out);
      add_sequences(ir, high & ~tail, high, out);
      return;
    }
  }
  Utf8 first{}, last{};
  const int length = encode(low, first);
  encode(high, last);
  std::vector<ExprId> parts;
  for (int i = 0; i < length; ++i) parts.push_back(ir.byte_range(first[i], last[i]));
  out.push_back(ir.seq(std::move(parts)));
}

}  // namespace

CodePointSet::CodePointSet(std::vector<CodePointRange> ranges)
    : ranges_(normalised(without_surrogates(ranges))) {}

CodePointSet CodePointSet::any() { return range(0, kLast); }

void CodePointSet::add(const CodePointSet& other) {
  ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
  ranges_ = normalised(std::move(ranges_));
}

CodePointSet CodePointSet::complement() const {
  std::vector<CodePointRange> gaps;
  uint32_t next = 0;
  for (const auto& range : ranges_) {
    if (range.low > next) gaps.push_back({next, range.low - 1});
    next = range.high + 1;
  }
  if (next <= kLast) gaps.push_back({next, kLast});
  return CodePointSet(std::move(gaps));
}

CodePointSet CodePointSet::intersect(const CodePointSet& other) const {
  std::vector<CodePointRange> common;
  size_t i = 0, j = 0;
  while (i < ranges_.size() && j < other.ranges_.size()) {
    const auto& a = ranges_[i];
    const auto& b = other.ranges_[j];
    const uint32_t low = std::max(a.low, b.low);
    const uint32_t high = std::min(a.high, b.high);
    if (low <= high) common.push_back({low, high});
    (a.high < b.high ? i : j) += 1;
  }
  return CodePointSet(std::move(common));
}

CodePointSet CodePointSet::fold_ascii() const {
  CodePointSet folded = *this;
  for (uint32_t letter = 'a'; letter <= 'z'; ++letter) {
    const uint32_t upper = letter - 'a' + 'A';
    if (contains(letter)) folded.add(of(upper));
    if (contains(upper)) folded.add(of(letter));
  }
  return folded;
}

bool CodePointSet::contains(uint32_t code_point) const {
  return std::any_of(ranges_.begin(), ranges_.end(), [&](const auto& range) {
    return range.low <= code_point && code_point <= range.high;
  });
}

ExprId utf8_expr(Ir& ir, const CodePointSet& set) {
  ByteSet ascii;
  std::vector<ExprId> parts;
  for (const auto& range : set.ranges()) {
    for (uint32_t c = range.low; c <= range.high && c < 0x80; ++c) ascii.set(c);
    if (range.high >= 0x80) add_sequences(ir, std::max(range.low, 0x80u), range.high, parts);
  }
  parts.push_back(ir.bytes(ascii));
  return ir.choice(std::move(parts));
}

void append_utf8(std::string& out, uint32_t code_point) {
  Utf8 bytes{};
  const int length = encode(code_point, bytes);
  out.append(reinterpret_cast<const char*>(bytes.data()), length);
}

uint32_t next_code_point(std::string_view text, size_t& at, const std::string& where) {
  const auto lead = static_cast<uint8_t>(text[at]);
  const int length = lead < 0x80   ? 1
                     : lead < 0xC2 ? 0
                     : lead < 0xE0 ? 2
                     : lead < 0xF0 ? 3
                     : lead < 0xF5 ? 4
                                   : 0;
  uint32_t code_point = length == 1 ? lead : lead & (0x7F >> length);
  bool valid = length > 0 && at + length <= text.size();
  for (int i = 1; valid && i < length; ++i) {
    const auto byte = static_cast<uint8_t>(text[at + i]);
    valid = (byte & 0xC0) == 0x80;
    code_point = code_point << 6 | (byte & 0x3F);
  }
  Utf8 canonical{};
  valid = valid && code_point <= kLast &&
          (code_point < kSurrogateFirst || code_point > kSurrogateLast) &&
          encode(code_point, canonical) == length;
  if (!valid) {
    throw_error(ErrorCode::kInvalidArgument, where, "byte {} is not UTF-8", at);
  }
  at += length;
  return code_point;
}

}  // namespace hearth::grammar
