#include "grammar/matcher.h"

#include <algorithm>

#include "base/check.h"

namespace hearth::grammar {
namespace {

// A machine smaller than this is never rebuilt.
constexpr size_t kCompactFrames = size_t{1} << 14;

}  // namespace

Matcher::Matcher(std::shared_ptr<const Grammar> grammar)
    : grammar_(std::move(grammar)),
      machine_(grammar_->automaton()),
      columns_{machine_.start()},
      compact_at_(kCompactFrames) {}

bool Matcher::fill(std::span<uint32_t> allowed) {
  const Vocabulary& vocabulary = grammar_->vocabulary();
  const size_t words = vocabulary.mask_words();
  CHECK(allowed.size() >= words, "{} mask words for {} tokens", allowed.size(), vocabulary.size());
  if (ended_ || !machine_.continues(column())) {
    std::fill(allowed.begin(), allowed.end(), 0u);
  } else {
    const std::shared_ptr<const TokenMask> mask = grammar_->mask(machine_, column());
    std::copy(mask->words.begin(), mask->words.end(), allowed.begin());
    std::fill(allowed.begin() + words, allowed.end(), 0u);
    decide(machine_, column(), vocabulary, mask->undecided, allowed);
  }
  if (may_end()) {
    for (const int32_t token : vocabulary.end_tokens()) {
      allowed[token >> 5] |= uint32_t{1} << (token & 31);
    }
  }
  return std::any_of(allowed.begin(), allowed.end(), [](uint32_t word) { return word != 0; });
}

bool Matcher::accept(int32_t token) {
  const Vocabulary& vocabulary = grammar_->vocabulary();
  if (token < 0 || token >= vocabulary.size() || ended_) return false;
  if (vocabulary.is_end(token)) return ended_ = may_end();
  return accept_text(vocabulary.bytes(token));
}

bool Matcher::accept_text(std::string_view bytes) {
  if (bytes.empty() || ended_) return false;
  const int32_t next = machine_.step(column(), bytes);
  if (next == Machine::kDead) return false;
  columns_.push_back(next);
  if (machine_.frames() > compact_at_) compact();
  return true;
}

void Matcher::rollback(size_t count) {
  CHECK(count <= history(), "rollback of {} tokens, {} are known", count, history());
  if (count > 0 && ended_) {
    ended_ = false;
    --count;
  }
  columns_.resize(columns_.size() - count);
}

std::string Matcher::forced(size_t bytes_max) {
  std::string text;
  int32_t at = column();
  while (text.size() < bytes_max && !ended_ && !machine_.accepts(at)) {
    const ByteSet next = machine_.next_bytes(at);
    if (next.count() != 1) break;
    const auto byte = static_cast<uint8_t>(next._Find_first());
    at = machine_.step(at, byte);
    text.push_back(static_cast<char>(byte));
  }
  return text;
}

void Matcher::compact() {
  const size_t kept = std::min(columns_.size(), kRollbackMax + 1);
  columns_.erase(columns_.begin(), columns_.end() - static_cast<ptrdiff_t>(kept));
  machine_ = machine_.compacted(columns_);
  compact_at_ = std::max(kCompactFrames, 2 * machine_.frames());
}

}  // namespace hearth::grammar
