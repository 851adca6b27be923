// What of a grammar can match the empty text, and what can match at all.
#pragma once

#include <vector>

#include "grammar/ir.h"

namespace hearth::grammar {

// A network of and/or gates over expressions, propagated once in linear time.
class Gates {
 public:
  enum class Question {
    kMatchesEmpty,  // the empty text
    kMatches,       // any text
  };

  Gates(const Ir& ir, Question question);

  // [exprs]
  std::vector<bool> values() const;

 private:
  int32_t add_gate(int32_t need);
  void wire(ExprId id, Question question);
  void wire_graph(ExprId id, const Expr& expr);
  void set(int32_t gate);
  void propagate();

  const Ir& ir_;
  std::vector<int32_t> need_;
  std::vector<std::vector<int32_t>> users_;
  std::vector<int32_t> ready_;
};

}  // namespace hearth::grammar
