#include "grammar/grammar_cache.h"

namespace hearth::grammar {
namespace {

// Lengths before texts, so that no two sources share a key.
std::string key_of(const GrammarSource& source) {
  std::string key = std::to_string(static_cast<int>(source.kind)) + '/' +
                    std::to_string(static_cast<int>(source.whitespace)) + '/' +
                    std::to_string(source.text.size()) + '/' + source.text;
  for (const std::string& choice : source.choices) {
    key += '/' + std::to_string(choice.size()) + '/' + choice;
  }
  return key;
}

}  // namespace

GrammarCache::GrammarCache(std::shared_ptr<const Vocabulary> vocabulary, size_t bytes_max,
                           const GrammarLimits& limits)
    : vocabulary_(std::move(vocabulary)), bytes_max_(bytes_max), limits_(limits) {}

std::shared_ptr<const Grammar> GrammarCache::get(const GrammarSource& source) {
  const std::string key = key_of(source);
  if (auto known = find(key)) return known;
  // Compiled outside of the lock: a large schema holds up nobody else.
  auto grammar = compile_grammar(source, vocabulary_, limits_);
  insert(key, grammar);
  return grammar;
}

std::shared_ptr<const Grammar> GrammarCache::find(const std::string& key) {
  const std::scoped_lock lock(mutex_);
  const auto it = by_key_.find(key);
  if (it == by_key_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, it->second);
  return it->second->grammar;
}

void GrammarCache::insert(const std::string& key, const std::shared_ptr<const Grammar>& grammar) {
  const std::scoped_lock lock(mutex_);
  if (by_key_.contains(key)) return;
  entries_.push_front({key, grammar});
  by_key_.emplace(key, entries_.begin());
  bytes_ += grammar->bytes() + 2 * key.size();
  while (bytes_ > bytes_max_ && entries_.size() > 1) {
    const Entry& oldest = entries_.back();
    bytes_ -= oldest.grammar->bytes() + 2 * oldest.key.size();
    by_key_.erase(oldest.key);
    entries_.pop_back();
  }
}

size_t GrammarCache::bytes() const {
  const std::scoped_lock lock(mutex_);
  return bytes_;
}

size_t GrammarCache::size() const {
  const std::scoped_lock lock(mutex_);
  return entries_.size();
}

}  // namespace hearth::grammar
