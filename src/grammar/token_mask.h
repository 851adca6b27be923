// Which tokens may come next in one situation of a grammar.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "grammar/machine.h"
#include "grammar/vocabulary.h"

namespace hearth::grammar {

// Trie nodes [begin, end).
struct NodeRange {
  int32_t begin = 0;
  int32_t end = 0;
};

struct TokenMask {
  std::vector<uint32_t> words;       // [vocabulary / 32] tokens that may come, whatever is below
  std::vector<NodeRange> undecided;  // trie nodes whose tokens reach below the cut of the stack

  size_t bytes() const;
};

// Walks the vocabulary's trie from `column` of a machine made by Machine::cut().
TokenMask find_mask(Machine& machine, int32_t column, const Vocabulary& vocabulary);

// Adds the undecided tokens that the whole stack allows.
void decide(Machine& machine, int32_t column, const Vocabulary& vocabulary,
            const std::vector<NodeRange>& undecided, std::span<uint32_t> words);

// Masks by situation, least recently used out first. Thread-safe.
class MaskCache {
 public:
  explicit MaskCache(size_t bytes_max) : bytes_max_(bytes_max) {}

  std::shared_ptr<const TokenMask> find(const std::string& key);
  void insert(const std::string& key, std::shared_ptr<const TokenMask> mask);

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const TokenMask> mask;
  };

  const size_t bytes_max_;
  std::mutex mutex_;
  std::list<Entry> entries_;  // most recently used first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_key_;
  size_t bytes_ = 0;
};

}  // namespace hearth::grammar
