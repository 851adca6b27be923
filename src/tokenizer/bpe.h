// Byte-pair encoding of one word at a time. Immutable; one thread's BpeScratch per call.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/spec.h"

namespace hearth::tokenizer {

// Words seen before and working memory; bounded. One thread at a time.
class BpeScratch {
 public:
  BpeScratch() : cached_(kCacheWords) {}

 private:
  friend class Bpe;

  // One cache line: a short word and its few tokens.
  struct alignas(64) CachedWord {
    uint8_t bytes = 0;  // 0: empty slot
    uint8_t tokens = 0;
    std::array<char, 38> word{};
    std::array<int32_t, 6> ids{};
  };
  static constexpr size_t kCacheWords = size_t{1} << 14;

  struct Symbol {
    int32_t id = kNoToken;
    int32_t previous = -1;
    int32_t next = -1;
    bool alive = true;
  };
  struct Candidate {
    uint32_t rank = 0;
    int32_t position = 0;
    int32_t merged = kNoToken;
  };

  std::vector<CachedWord> cached_;
  std::vector<int32_t> ids_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> queue_;
};

class Bpe {
 public:
  enum class Input {
    kText,
    kBytes
  };  // kBytes: words are bytes, the vocabulary is GPT-2's alphabet

  // Throws Error kInvalidArgument naming the merge whose tokens are not in the vocabulary.
  Bpe(BpeSpec spec, Input input, const std::string& where);

  const Vocab& vocab() const { return spec_.vocab; }

  // Appends the tokens of `word`, which may be a whole text.
  void encode(std::string_view word, BpeScratch& scratch, std::vector<int32_t>& out) const;

 private:
  struct Merge {
    uint64_t pair = 0;
    uint32_t rank = 0;
    int32_t merged = kNoToken;  // kNoToken: an empty slot
  };
  using Symbol = BpeScratch::Symbol;
  using Candidate = BpeScratch::Candidate;

  void build_merges(const std::string& where);
  void find_safe_cut();
  void add_merge(uint64_t pair, uint32_t rank, int32_t merged);
  const Merge* find_merge(int32_t left, int32_t right) const;

  void encode_word(std::string_view word, BpeScratch& scratch, std::vector<int32_t>& out) const;
  void encode_uncached(std::string_view word, BpeScratch& scratch) const;
  void split_bytes(std::string_view word, std::vector<int32_t>& ids) const;
  void split_chars(std::string_view word, std::vector<int32_t>& ids) const;
  bool append_byte_tokens(std::string_view bytes, std::vector<int32_t>& ids) const;
  void merge_short(std::vector<int32_t>& ids) const;
  void merge_long(BpeScratch& scratch) const;

  BpeSpec spec_;
  Input input_;
  Vocab words_;                          // what ignore_merges looks up, in terms of the input
  std::vector<Merge> merges_;            // open addressing, a power of two
  std::array<int32_t, 256> byte_ids_{};  // kBytes: the token of each byte; else of its fallback
  bool has_all_bytes_ = false;           // every byte has a fallback token
  int32_t unk_id_ = kNoToken;
  std::string cut_before_;  // where not empty, no merge crosses the front of this after another
};

}  // namespace hearth::tokenizer
