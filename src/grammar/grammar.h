// A compiled grammar: what a request's structured output may be, as masks over one vocabulary.
//
// Immutable but for its cache of masks; shared by sequences and threads. A Matcher (matcher.h)
// follows it for one sequence.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/json_text.h"
#include "grammar/limits.h"
#include "grammar/token_mask.h"
#include "grammar/vocabulary.h"

namespace hearth::grammar {

enum class GrammarKind {
  kJsonSchema,  // text: the schema
  kJsonObject,  // any JSON object ("JSON mode")
  kJsonValue,   // any JSON value
  kRegex,       // text: a pattern that the whole output matches
  kChoice,      // choices: the output is one of them
  kGbnf,        // text: llama.cpp's GBNF, or EBNF with ::=; starts at `root`
};

struct GrammarSource {
  GrammarKind kind = GrammarKind::kJsonObject;
  std::string text;
  std::vector<std::string> choices;
  Whitespace whitespace = Whitespace::kFlexible;
};

class Grammar {
 public:
  Grammar(Automaton automaton, std::shared_ptr<const Vocabulary> vocabulary);

  const Automaton& automaton() const { return automaton_; }
  const Vocabulary& vocabulary() const { return *vocabulary_; }
  // What it holds, with the most its masks may take.
  size_t bytes() const;

  // The mask of one column, from the cache or found now (a few milliseconds at worst for the
  // largest vocabularies). Thread-safe.
  std::shared_ptr<const TokenMask> mask(const Machine& machine, int32_t column) const;

 private:
  Automaton automaton_;
  std::shared_ptr<const Vocabulary> vocabulary_;
  size_t mask_bytes_max_;
  mutable MaskCache masks_;
};

// Throws Error{kInvalidArgument, kUnsupported or kTooLarge} whose text names the place in the
// source and what to do. Thread-safe.
std::shared_ptr<const Grammar> compile_grammar(const GrammarSource& source,
                                               std::shared_ptr<const Vocabulary> vocabulary,
                                               const GrammarLimits& limits = {});

}  // namespace hearth::grammar
