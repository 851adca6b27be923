// Unigram language model: the most probable segmentation, by Viterbi. Immutable; thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/spec.h"

namespace hearth::tokenizer {

class Unigram {
 public:
  Unigram(UnigramSpec spec, const std::string& where);

  const Vocab& vocab() const { return vocab_; }
  void encode(std::string_view text, std::vector<int32_t>& out) const;

 private:
  // A trie over the bytes of the pieces; children are found by (node, byte) in one hash table.
  struct Edge {
    uint64_t key = 0;  // 0: an empty slot; else (node << 8 | byte) + 1
    int32_t child = 0;
  };
  struct Node {
    int32_t id = kNoToken;
  };

  // The end of the best segmentation of a text's beginning.
  struct Best {
    double score = 0;
    int64_t from = -1;  // where its last piece begins; -1: not reached
    int32_t id = kNoToken;
  };

  void insert(std::string_view piece, int32_t id);
  int32_t child_of(int32_t node, uint8_t byte) const;
  std::vector<Best> best_pieces(std::string_view text) const;
  void require_unknown() const;
  void emit(std::string_view piece, std::vector<int32_t>& out) const;

  Vocab vocab_;
  std::vector<double> scores_;
  std::vector<Edge> edges_;
  std::vector<Node> nodes_;
  std::array<int32_t, 256> byte_ids_{};
  int32_t unk_id_ = kNoToken;
  double unk_score_ = 0;
  bool byte_fallback_ = false;
};

}  // namespace hearth::tokenizer
