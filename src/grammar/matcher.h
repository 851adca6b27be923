// Follows a grammar for one sequence: which tokens may come, which came, and back again.
//
// One thread at a time. The cost of a step is microseconds once the grammar has met the situation.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/grammar.h"
#include "grammar/machine.h"

namespace hearth::grammar {

class Matcher {
 public:
  // At least this many accepted tokens can be taken back.
  static constexpr size_t kRollbackMax = 256;

  explicit Matcher(std::shared_ptr<const Grammar> grammar);

  // Sets bit t of `allowed` for each token that may come next, clears the others. End tokens are
  // allowed where the text may end. allowed.size() * 32 >= vocabulary. False: no token is allowed,
  // because the vocabulary cannot spell what must come (or the grammar is over its limits).
  bool fill(std::span<uint32_t> allowed);

  // The token that was chosen. False, and nothing changes: the grammar does not allow it.
  bool accept(int32_t token);
  // The same for text that came without a token, or with several; counts as one for rollback().
  bool accept_text(std::string_view bytes);

  // Nothing but the end of the sequence may come.
  bool finished() const { return ended_ || !machine_.continues(column()); }
  // The text may end here.
  bool may_end() const { return machine_.accepts(column()); }

  // Takes back the last `count` accepted tokens. count <= history().
  void rollback(size_t count);
  size_t history() const { return columns_.size() - 1 + (ended_ ? 1 : 0); }

  // The bytes that must come next, whatever the model says: no more than bytes_max, empty where
  // there is a choice or the text may end. For jump-ahead: tokenize, append, accept_text().
  std::string forced(size_t bytes_max = 1024);

 private:
  int32_t column() const { return columns_.back(); }
  // Rebuilds the machine with what the history needs.
  void compact();

  std::shared_ptr<const Grammar> grammar_;
  Machine machine_;
  std::vector<int32_t> columns_;  // after each accepted token; the first is the start
  size_t compact_at_;             // the machine's frames that are too many
  bool ended_ = false;            // an end token was accepted
};

}  // namespace hearth::grammar
