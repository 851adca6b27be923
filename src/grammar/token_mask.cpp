#include "grammar/token_mask.h"

namespace hearth::grammar {
namespace {

class TrieWalk {
 public:
  TrieWalk(Machine& machine, const Vocabulary& vocabulary, std::span<uint32_t> words)
      : machine_(machine),
        vocabulary_(vocabulary),
        words_(words),
        path_(vocabulary.bytes_max() + 1, {Machine::kDead, false}) {}

  // `range` is a subtree, or the whole trie; `column` stands before its first node.
  void run(NodeRange range, int32_t column, std::vector<NodeRange>& undecided) {
    const std::span<const Vocabulary::Node> nodes = vocabulary_.nodes();
    if (range.begin == range.end) return;
    path_[nodes[range.begin].depth - 1] = {column, false};
    for (int32_t i = range.begin; i < range.end;) {
      const Vocabulary::Node& node = nodes[i];
      const Place& before = path_[node.depth - 1];
      const int32_t after = machine_.step(before.column, node.byte);
      if (after == Machine::kDead) {
        if (before.escaped) undecided.push_back({i, node.end});
        i = node.end;
        continue;
      }
      path_[node.depth] = {after, before.escaped || machine_.escapes(after)};
      for (int32_t t = node.token_begin; t < node.token_end; ++t) allow(t);
      ++i;
    }
  }

 private:
  struct Place {
    int32_t column;
    bool escaped;  // a reading left the cut stack here or before
  };

  void allow(int32_t index) {
    const int32_t token = vocabulary_.token_ids()[index];
    words_[token >> 5] |= uint32_t{1} << (token & 31);
  }

  Machine& machine_;
  const Vocabulary& vocabulary_;
  std::span<uint32_t> words_;
  std::vector<Place> path_;  // [depth]
};

}  // namespace

size_t TokenMask::bytes() const {
  return sizeof(*this) + words.size() * sizeof(uint32_t) + undecided.size() * sizeof(NodeRange);
}

TokenMask find_mask(Machine& machine, int32_t column, const Vocabulary& vocabulary) {
  TokenMask mask;
  mask.words.assign(vocabulary.mask_words(), 0);
  TrieWalk walk(machine, vocabulary, mask.words);
  walk.run({0, static_cast<int32_t>(vocabulary.nodes().size())}, column, mask.undecided);
  return mask;
}

void decide(Machine& machine, int32_t column, const Vocabulary& vocabulary,
            const std::vector<NodeRange>& undecided, std::span<uint32_t> words) {
  if (undecided.empty()) return;
  TrieWalk walk(machine, vocabulary, words);
  std::vector<NodeRange> none;
  for (const NodeRange& range : undecided) {
    const Vocabulary::Node& node = vocabulary.nodes()[range.begin];
    const int32_t token = vocabulary.token_ids()[node.token_begin];
    const int32_t before = machine.step(column, vocabulary.bytes(token).substr(0, node.depth - 1));
    walk.run(range, before, none);
  }
}

std::shared_ptr<const TokenMask> MaskCache::find(const std::string& key) {
  const std::scoped_lock lock(mutex_);
  const auto it = by_key_.find(key);
  if (it == by_key_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, it->second);
  return it->second->mask;
}

void MaskCache::insert(const std::string& key, std::shared_ptr<const TokenMask> mask) {
  const std::scoped_lock lock(mutex_);
  if (by_key_.contains(key)) return;
  bytes_ += mask->bytes() + 2 * key.size();
  entries_.push_front({key, std::move(mask)});
  by_key_.emplace(key, entries_.begin());
  while (bytes_ > bytes_max_ && entries_.size() > 1) {
    const Entry& oldest = entries_.back();
    bytes_ -= oldest.mask->bytes() + 2 * oldest.key.size();
    by_key_.erase(oldest.key);
    entries_.pop_back();
  }
}

}  // namespace hearth::grammar
