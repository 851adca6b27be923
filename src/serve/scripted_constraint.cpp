#include "serve/scripted_constraint.h"

#include <algorithm>
#include <utility>

namespace hearth::serve {

namespace {

void allow(std::span<uint32_t> allowed, engine::TokenId token) {
  allowed[static_cast<size_t>(token) / 32] |= 1u << (static_cast<uint32_t>(token) % 32);
}

void forbid(std::span<uint32_t> allowed, engine::TokenId token) {
  allowed[static_cast<size_t>(token) / 32] &= ~(1u << (static_cast<uint32_t>(token) % 32));
}

}  // namespace

ScriptedConstraint::ScriptedConstraint(std::vector<engine::TokenId> prefix,
                                       std::shared_ptr<const grammar::Grammar> grammar,
                                       std::vector<engine::TokenId> suffix,
                                       std::vector<engine::TokenId> end_tokens)
    : prefix_(std::move(prefix)),
      matcher_(std::move(grammar)),
      suffix_(std::move(suffix)),
      end_tokens_(std::move(end_tokens)),
      stage_(prefix_.empty() ? Stage::kGrammar : Stage::kPrefix) {}

void ScriptedConstraint::fill(std::span<uint32_t> allowed) {
  if (stage_ == Stage::kGrammar) {
    matcher_.fill(allowed);
    if (suffix_.empty()) return;
    for (const engine::TokenId token : end_tokens_) forbid(allowed, token);
    if (matcher_.may_end()) allow(allowed, suffix_[0]);
    return;
  }
  std::fill(allowed.begin(), allowed.end(), 0u);
  if (stage_ == Stage::kPrefix) return allow(allowed, prefix_[at_]);
  if (at_ < suffix_.size()) return allow(allowed, suffix_[at_]);
  for (const engine::TokenId token : end_tokens_) allow(allowed, token);
}

bool ScriptedConstraint::accept(engine::TokenId token) {
  switch (stage_) {
    case Stage::kPrefix:
      if (token != prefix_[at_]) return false;
      if (++at_ == prefix_.size()) stage_ = Stage::kGrammar;
      return true;
    case Stage::kGrammar:
      if (!suffix_.empty() && token == suffix_[0] && matcher_.may_end()) {
        stage_ = Stage::kSuffix;
        at_ = 1;
        return true;
      }
      return matcher_.accept(token);
    case Stage::kSuffix:
      break;
  }
  if (at_ < suffix_.size()) return token == suffix_[at_++];
  return std::find(end_tokens_.begin(), end_tokens_.end(), token) != end_tokens_.end();
}

bool ScriptedConstraint::finished() const {
  if (stage_ == Stage::kSuffix) return at_ >= suffix_.size();
  return stage_ == Stage::kGrammar && suffix_.empty() && matcher_.finished();
}

}  // namespace hearth::serve
