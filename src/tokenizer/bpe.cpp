#include "tokenizer/bpe.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"
#include "base/error.h"
#include "tokenizer/byte_alphabet.h"

namespace hearth::tokenizer {
namespace {

// Up to here a scan over all pairs beats the heap.
constexpr size_t kShortWordSymbols = 24;

uint64_t pair_of(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

size_t slot_of(uint64_t pair, size_t mask) {
  return static_cast<size_t>((pair ^ pair >> 29) * 0x9E3779B97F4A7C15ull >> 20) & mask;
}

// Orders a heap so that the lowest rank, and then the leftmost position, comes first.
template <typename Candidate>
bool comes_later(const Candidate& a, const Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
}

}  // namespace

Bpe::Bpe(BpeSpec spec, Input input, const std::string& where)
    : spec_(std::move(spec)), input_(input) {
  const Vocab& vocab = spec_.vocab;
  if (spec_.unk_token) unk_id_ = vocab.find(*spec_.unk_token);
  has_all_bytes_ = true;
  for (int byte = 0; byte < 256; ++byte) {
    std::string text;
    if (input_ == Input::kBytes) {
      append_byte_chars(text, std::string(1, static_cast<char>(byte)));
    } else {
      text = fmt::format("<0x{:02X}>", byte);
    }
    byte_ids_[static_cast<size_t>(byte)] = vocab.find(text);
    has_all_bytes_ = has_all_bytes_ && byte_ids_[static_cast<size_t>(byte)] != kNoToken;
  }
  build_merges(where);
  if (spec_.ignore_merges && input_ == Input::kBytes) {
    words_.reserve(static_cast<size_t>(vocab.count()), static_cast<size_t>(vocab.count()) * 8);
    for (int32_t id = 0; id < vocab.size(); ++id) {
      if (!vocab.has(id)) continue;
      if (const auto bytes = bytes_of_chars(vocab.text(id))) words_.add(*bytes, id);
    }
  }
  find_safe_cut();
}

void Bpe::build_merges(const std::string& where) {
  const MergeList& merges = spec_.merges;
  const size_t prefix = spec_.continuing_subword_prefix.size();
  merges_.resize(std::bit_ceil(merges.size() * 3 / 2 + 16));
  std::string joined;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    std::string_view merged = merges.both(rank);
    if (prefix != 0) {
      joined.assign(merges.left(rank))
          .append(merges.right(rank).substr(std::min(prefix, merges.right(rank).size())));
      merged = joined;
    }
    const int32_t left = spec_.vocab.find(merges.left(rank));
    const int32_t right = spec_.vocab.find(merges.right(rank));
    const int32_t id = spec_.vocab.find(merged);
    if (left == kNoToken || right == kNoToken || id == kNoToken) {
      throw_error(ErrorCode::kInvalidArgument, where,
                  "merge {} ('{}' + '{}' = '{}') needs a token that is not in model.vocab", rank,
                  merges.left(rank), merges.right(rank), merged);
    }
    add_merge(pair_of(left, right), static_cast<uint32_t>(rank), id);
  }
}

void Bpe::add_merge(uint64_t pair, uint32_t rank, int32_t merged) {
  const size_t mask = merges_.size() - 1;
  size_t i = slot_of(pair, mask);
  while (merges_[i].merged != kNoToken && merges_[i].pair != pair) i = (i + 1) & mask;
  merges_[i] = {pair, rank, merged};
}

const Bpe::Merge* Bpe::find_merge(int32_t left, int32_t right) const {
  const uint64_t pair = pair_of(left, right);
  const size_t mask = merges_.size() - 1;
  for (size_t i = slot_of(pair, mask); merges_[i].merged != kNoToken; i = (i + 1) & mask) {
    if (merges_[i].pair == pair) return &merges_[i];
  }
  return nullptr;
}

// SentencePiece vocabularies come without a pre-tokenizer, so that a word is a whole text. Where no
// merge yields a token with the space symbol after something else, merges cannot cross the front of
// such a symbol, and the text falls into short words that the cache knows.
void Bpe::find_safe_cut() {
  const bool plain = input_ == Input::kText && spec_.continuing_subword_prefix.empty() &&
                     spec_.end_of_word_suffix.empty() && !spec_.ignore_merges;
  if (!plain || spec_.vocab.find(kSpaceSymbol) == kNoToken) return;
  for (size_t rank = 0; rank < spec_.merges.size(); ++rank) {
    const std::string_view merged = spec_.merges.both(rank);
    size_t end_of_spaces = 0;
    while (merged.substr(end_of_spaces).starts_with(kSpaceSymbol)) {
      end_of_spaces += kSpaceSymbol.size();
    }
    if (merged.find(kSpaceSymbol, end_of_spaces) != std::string_view::npos) return;
  }
  cut_before_ = kSpaceSymbol;
}

void Bpe::encode(std::string_view word, BpeScratch& scratch, std::vector<int32_t>& out) const {
  if (cut_before_.empty()) return encode_word(word, scratch, out);
  size_t begin = 0;
  while (begin < word.size()) {
    size_t end = begin;
    while (word.substr(end).starts_with(cut_before_)) end += cut_before_.size();
    end = std::min(word.find(cut_before_, end), word.size());
    encode_word(word.substr(begin, end - begin), scratch, out);
    begin = end;
  }
}

void Bpe::encode_word(std::string_view word, BpeScratch& scratch, std::vector<int32_t>& out) const {
  if (word.empty()) return;
  using CachedWord = BpeScratch::CachedWord;
  constexpr size_t kWordBytes = sizeof(CachedWord::word);
  CachedWord* slot = nullptr;
  if (word.size() <= kWordBytes) {
    slot = &scratch.cached_[hash_bytes(word) & (BpeScratch::kCacheWords - 1)];
    if (slot->bytes == word.size() &&
        std::memcmp(slot->word.data(), word.data(), word.size()) == 0) {
      out.insert(out.end(), slot->ids.begin(), slot->ids.begin() + slot->tokens);
      return;
    }
  }
  encode_uncached(word, scratch);
  const std::vector<int32_t>& ids = scratch.ids_;
  out.insert(out.end(), ids.begin(), ids.end());
  if (slot != nullptr && ids.size() <= slot->ids.size()) {
    slot->bytes = static_cast<uint8_t>(word.size());
    slot->tokens = static_cast<uint8_t>(ids.size());
    std::memcpy(slot->word.data(), word.data(), word.size());
    std::copy(ids.begin(), ids.end(), slot->ids.begin());
  }
}

void Bpe::encode_uncached(std::string_view word, BpeScratch& scratch) const {
  std::vector<int32_t>& ids = scratch.ids_;
  ids.clear();
  if (spec_.ignore_merges) {
    const int32_t whole = (input_ == Input::kBytes ? words_ : spec_.vocab).find(word);
    if (whole != kNoToken) {
      ids.push_back(whole);
      return;
    }
  }
  if (input_ == Input::kBytes) {
    split_bytes(word, ids);
  } else {
    split_chars(word, ids);
  }
  if (ids.size() <= kShortWordSymbols) {
    merge_short(ids);
  } else {
    merge_long(scratch);
  }
}

void Bpe::split_bytes(std::string_view word, std::vector<int32_t>& ids) const {
  if (has_all_bytes_ && spec_.continuing_subword_prefix.empty() &&
      spec_.end_of_word_suffix.empty()) {
    for (const char byte : word) ids.push_back(byte_ids_[static_cast<uint8_t>(byte)]);
    return;
  }
  std::string chars;
  append_byte_chars(chars, word);
  split_chars(chars, ids);
}

// One symbol per character; characters without a token become their bytes or the unknown token.
void Bpe::split_chars(std::string_view word, std::vector<int32_t>& ids) const {
  bool unk_pending = false;
  std::string decorated;
  for (size_t i = 0; i < word.size();) {
    const size_t length = decode_char(word.substr(i)).bytes;
    std::string_view symbol = word.substr(i, length);
    const bool wants_prefix = i > 0 && !spec_.continuing_subword_prefix.empty();
    const bool wants_suffix = i + length == word.size() && !spec_.end_of_word_suffix.empty();
    if (wants_prefix || wants_suffix) {
      decorated = wants_prefix ? spec_.continuing_subword_prefix : "";
      decorated += symbol;
      if (wants_suffix) decorated += spec_.end_of_word_suffix;
      symbol = decorated;
    }
    i += length;
    const int32_t id = spec_.vocab.find(symbol);
    if (id != kNoToken) {
      if (unk_pending) ids.push_back(unk_id_);
      unk_pending = false;
      ids.push_back(id);
    } else if (spec_.byte_fallback && append_byte_tokens(symbol, ids)) {
      continue;
    } else if (spec_.unk_token) {
      if (unk_id_ == kNoToken) {
        throw_error(ErrorCode::kInvalidArgument, "text",
                    "'{}' needs unk_token '{}', which is not in the vocabulary", symbol,
                    *spec_.unk_token);
      }
      if (unk_pending && !spec_.fuse_unk) ids.push_back(unk_id_);
      unk_pending = true;
    }
  }
  if (unk_pending) ids.push_back(unk_id_);
}

bool Bpe::append_byte_tokens(std::string_view bytes, std::vector<int32_t>& ids) const {
  const auto id_of = [&](char byte) {
    if (input_ == Input::kText) return byte_ids_[static_cast<uint8_t>(byte)];
    return spec_.vocab.find(fmt::format("<0x{:02X}>", static_cast<uint8_t>(byte)));
  };
  const size_t before = ids.size();
  for (const char byte : bytes) {
    const int32_t id = id_of(byte);
    if (id == kNoToken) {
      ids.resize(before);
      return false;
    }
    ids.push_back(id);
  }
  return true;
}

void Bpe::merge_short(std::vector<int32_t>& ids) const {
  std::array<const Merge*, kShortWordSymbols> pairs;  // pairs[i] joins ids[i] and ids[i + 1]
  const size_t count = ids.size();
  for (size_t i = 0; i + 1 < count; ++i) pairs[i] = find_merge(ids[i], ids[i + 1]);
  size_t left = count;
  while (left > 1) {
    size_t best = left;
    for (size_t i = 0; i + 1 < left; ++i) {
      if (pairs[i] != nullptr && (best == left || pairs[i]->rank < pairs[best]->rank)) best = i;
    }
    if (best == left) break;
    ids[best] = pairs[best]->merged;
    for (size_t i = best + 1; i + 1 < left; ++i) {
      ids[i] = ids[i + 1];
      pairs[i] = pairs[i + 1];
    }
    --left;
    if (best > 0) pairs[best - 1] = find_merge(ids[best - 1], ids[best]);
    if (best + 1 < left) pairs[best] = find_merge(ids[best], ids[best + 1]);
  }
  ids.resize(left);
}

void Bpe::merge_long(BpeScratch& scratch) const {
  std::vector<int32_t>& ids = scratch.ids_;
  std::vector<Symbol>& symbols = scratch.symbols_;
  std::vector<Candidate>& queue = scratch.queue_;
  CHECK(ids.size() < INT32_MAX, "a word of {} symbols", ids.size());
  const auto count = static_cast<int32_t>(ids.size());
  symbols.resize(ids.size());
  queue.clear();
  for (int32_t i = 0; i < count; ++i) {
    const auto at = static_cast<size_t>(i);
    symbols[at] = {ids[at], i - 1, i + 1 < count ? i + 1 : -1, true};
  }
  const auto symbol = [&](int32_t i) -> Symbol& { return symbols[static_cast<size_t>(i)]; };
  const auto consider = [&](int32_t left) {
    const Merge* merge = find_merge(symbol(left).id, symbol(symbol(left).next).id);
    if (merge != nullptr) queue.push_back({merge->rank, left, merge->merged});
    return merge != nullptr;
  };
  for (int32_t i = 0; i + 1 < count; ++i) consider(i);
  std::make_heap(queue.begin(), queue.end(), comes_later<Candidate>);
  while (!queue.empty()) {
    std::pop_heap(queue.begin(), queue.end(), comes_later<Candidate>);
    const Candidate top = queue.back();
    queue.pop_back();
    Symbol& left = symbol(top.position);
    if (!left.alive || left.next < 0) continue;
    Symbol& right = symbol(left.next);
    const Merge* merge = find_merge(left.id, right.id);
    if (merge == nullptr || merge->merged != top.merged) continue;  // a stale candidate
    left.id = top.merged;
    right.alive = false;
    left.next = right.next;
    if (right.next >= 0) symbol(right.next).previous = top.position;
    if (left.previous >= 0 && consider(left.previous)) {
      std::push_heap(queue.begin(), queue.end(), comes_later<Candidate>);
    }
    if (left.next >= 0 && consider(top.position)) {
      std::push_heap(queue.begin(), queue.end(), comes_later<Candidate>);
    }
  }
  ids.clear();
  for (int32_t i = 0; i >= 0 && i < count; i = symbol(i).next) ids.push_back(symbol(i).id);
}

}  // namespace hearth::tokenizer
