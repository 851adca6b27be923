#include "tokenizer/unigram.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "base/error.h"

namespace hearth::tokenizer {
namespace {

constexpr double kUnkPenalty = 10.0;

uint64_t edge_key(int32_t node, uint8_t byte) {
  return (static_cast<uint64_t>(node) << 8 | byte) + 1;
}

size_t edge_slot(uint64_t key, size_t mask) {
  return static_cast<size_t>(key * 0x9E3779B97F4A7C15ull >> 24) & mask;
}

}  // namespace

Unigram::Unigram(UnigramSpec spec, const std::string& where) : byte_fallback_(spec.byte_fallback) {
  if (spec.unk_id) {
    unk_id_ = *spec.unk_id;
    if (unk_id_ < 0 || static_cast<size_t>(unk_id_) >= spec.pieces.size()) {
      throw_error(ErrorCode::kInvalidArgument, where,
                  "unk_id {} is outside the {} pieces of model.vocab", unk_id_, spec.pieces.size());
    }
  }
  size_t bytes = 0;
  for (const auto& [text, score] : spec.pieces) bytes += text.size();
  edges_.resize(std::bit_ceil(bytes * 2 + 16));
  nodes_.emplace_back();
  double lowest = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < spec.pieces.size(); ++i) {
    const auto& [text, score] = spec.pieces[i];
    vocab_.add(text, static_cast<int32_t>(i));
    insert(text, static_cast<int32_t>(i));
    scores_.push_back(score);
    lowest = std::min(lowest, score);
  }
  unk_score_ = lowest - kUnkPenalty;
  for (int byte = 0; byte < 256; ++byte) {
    byte_ids_[static_cast<size_t>(byte)] = vocab_.find(fmt::format("<0x{:02X}>", byte));
  }
}

void Unigram::insert(std::string_view piece, int32_t id) {
  int32_t node = 0;
  const size_t mask = edges_.size() - 1;
  for (const char byte : piece) {
    const uint64_t key = edge_key(node, static_cast<uint8_t>(byte));
    size_t i = edge_slot(key, mask);
    while (edges_[i].key != 0 && edges_[i].key != key) i = (i + 1) & mask;
    if (edges_[i].key == 0) {
      edges_[i] = {key, static_cast<int32_t>(nodes_.size())};
      nodes_.emplace_back();
    }
    node = edges_[i].child;
  }
  nodes_[static_cast<size_t>(node)].id = id;
}

int32_t Unigram::child_of(int32_t node, uint8_t byte) const {
  const uint64_t key = edge_key(node, byte);
  const size_t mask = edges_.size() - 1;
  for (size_t i = edge_slot(key, mask); edges_[i].key != 0; i = (i + 1) & mask) {
    if (edges_[i].key == key) return edges_[i].child;
  }
  return -1;
}

// Viterbi: for each place in the text the most probable piece that ends there.
std::vector<Unigram::Best> Unigram::best_pieces(std::string_view text) const {
  std::vector<Best> best(text.size() + 1);
  const auto offer = [&](size_t from, size_t to, double score, int32_t id) {
    score += best[from].score;
    if (best[to].from < 0 || score > best[to].score) {
      best[to] = {score, static_cast<int64_t>(from), id};
    }
  };
  for (size_t from = 0; from < text.size();) {
    const size_t char_bytes = decode_char(text.substr(from)).bytes;
    bool has_char = false;
    int32_t node = 0;
    for (size_t to = from; to < text.size();) {
      node = child_of(node, static_cast<uint8_t>(text[to]));
      if (node < 0) break;
      ++to;
      const int32_t id = nodes_[static_cast<size_t>(node)].id;
      if (id == kNoToken) continue;
      offer(from, to, scores_[static_cast<size_t>(id)], id);
      has_char = has_char || to - from == char_bytes;
    }
    if (!has_char) {
      require_unknown();
      offer(from, from + char_bytes, unk_score_, unk_id_);
    }
    from += char_bytes;
  }
  return best;
}

void Unigram::require_unknown() const {
  if (unk_id_ != kNoToken) return;
  throw_error(ErrorCode::kInvalidArgument, "text",
              "a character is not in the vocabulary and the unigram model has no unk_id");
}

void Unigram::encode(std::string_view text, std::vector<int32_t>& out) const {
  const std::vector<Best> best = best_pieces(text);
  // Walks back; neighbouring unknown characters become one piece.
  struct Span {
    size_t begin;
    size_t end;
  };
  std::vector<Span> spans;
  bool in_unknown = false;
  for (size_t end = text.size(); end > 0;) {
    const auto begin = static_cast<size_t>(best[end].from);
    const bool unknown = unk_id_ != kNoToken && best[end].id == unk_id_;
    if (unknown && in_unknown) {
      spans.back().begin = begin;
    } else {
      spans.push_back({begin, end});
    }
    in_unknown = unknown;
    end = begin;
  }
  for (auto span = spans.rbegin(); span != spans.rend(); ++span) {
    emit(text.substr(span->begin, span->end - span->begin), out);
  }
}

void Unigram::emit(std::string_view piece, std::vector<int32_t>& out) const {
  const int32_t id = vocab_.find(piece);
  if (id != kNoToken) {
    out.push_back(id);
    return;
  }
  const bool all_bytes = byte_fallback_ && std::all_of(piece.begin(), piece.end(), [&](char byte) {
                           return byte_ids_[static_cast<uint8_t>(byte)] != kNoToken;
                         });
  if (all_bytes) {
    for (const char byte : piece) out.push_back(byte_ids_[static_cast<uint8_t>(byte)]);
  } else {
    out.push_back(unk_id_);
  }
}

}  // namespace hearth::tokenizer
