// Compiled grammars by source: requests repeat their schemas. Least recently used out first, within
// a bound of bytes. Thread-safe; grammars in use live on after they are dropped here.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "grammar/grammar.h"

namespace hearth::grammar {

class GrammarCache {
 public:
  GrammarCache(std::shared_ptr<const Vocabulary> vocabulary, size_t bytes_max,
               const GrammarLimits& limits = {});

  // The grammar of this source, compiled at the first call. Throws as compile_grammar() does; a
  // failure is not kept.
  std::shared_ptr<const Grammar> get(const GrammarSource& source);

  size_t bytes() const;
  size_t size() const;

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const Grammar> grammar;
  };

  std::shared_ptr<const Grammar> find(const std::string& key);
  void insert(const std::string& key, const std::shared_ptr<const Grammar>& grammar);

  const std::shared_ptr<const Vocabulary> vocabulary_;
  const size_t bytes_max_;
  const GrammarLimits limits_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // most recently used first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_key_;
  size_t bytes_ = 0;
};

}  // namespace hearth::grammar
