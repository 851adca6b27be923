// Holds a reply to: these tokens, then a text of a grammar, then these tokens, then the end. Forced
// tool calls are such: a marker, JSON of a schema, a marker. Markers are often special tokens,
// which no grammar can spell.
#pragma once

#include <vector>

#include "engine/sampling.h"
#include "grammar/matcher.h"

namespace hearth::serve {

class ScriptedConstraint final : public engine::TokenConstraint {
 public:
  // `end_tokens` are the grammar's own: where it may end, the suffix begins instead.
  ScriptedConstraint(std::vector<engine::TokenId> prefix,
                     std::shared_ptr<const grammar::Grammar> grammar,
                     std::vector<engine::TokenId> suffix, std::vector<engine::TokenId> end_tokens);

  void fill(std::span<uint32_t> allowed) override;
  bool accept(engine::TokenId token) override;
  bool finished() const override;

 private:
  enum class Stage { kPrefix, kGrammar, kSuffix };

  const std::vector<engine::TokenId> prefix_;
  grammar::Matcher matcher_;
  const std::vector<engine::TokenId> suffix_;
  const std::vector<engine::TokenId> end_tokens_;
  Stage stage_ = Stage::kPrefix;
  size_t at_ = 0;  // of the prefix or the suffix
};

}  // namespace hearth::serve
