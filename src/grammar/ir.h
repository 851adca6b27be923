// The intermediate form every front end writes: rules over bytes.
//
// A context-free grammar whose right-hand sides are expressions (sequence, choice, repetition,
// small graphs) and whose terminals are sets of bytes; UTF-8 is already spelled out. Expressions
// are values in one arena, named by index, and may be shared. Single-threaded while it is built,
// then read by compile_automaton().
#pragma once

#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/limits.h"

namespace hearth::grammar {

using ExprId = int32_t;
using RuleId = int32_t;
using ByteSet = std::bitset<256>;

constexpr int32_t kUnbounded = -1;

enum class ExprKind : uint8_t {
  kNever,   // matches nothing, not even the empty text
  kEmpty,   // the empty text
  kBytes,   // one byte of a set
  kSeq,     // children in order
  kChoice,  // one of the children
  kRepeat,  // children[0], low to high times (high may be kUnbounded)
  kRule,    // a rule's body; low is the rule
  kGraph,   // a walk from vertex 0 to the last vertex; edges are children
};

struct GraphEdge {
  int32_t from = 0;
  int32_t to = 0;
  ExprId expr = 0;
};

struct Expr {
  ExprKind kind = ExprKind::kNever;
  int32_t low = 0;   // kRepeat: minimum; kRule: rule; kBytes: index of the set; kGraph: vertices
  int32_t high = 0;  // kRepeat: maximum or kUnbounded
  std::vector<ExprId> children;
  std::vector<GraphEdge> edges;
};

struct Rule {
  std::string name;
  ExprId body = 0;
};

class Ir {
 public:
  explicit Ir(const GrammarLimits& limits = {});

  ExprId never() const { return 0; }
  ExprId empty() const { return 1; }
  ExprId bytes(const ByteSet& set);
  ExprId byte_range(uint8_t low, uint8_t high);
  ExprId literal(std::string_view text);
  ExprId seq(std::vector<ExprId> parts);
  ExprId choice(std::vector<ExprId> parts);
  ExprId repeat(ExprId part, int64_t low, int64_t high);
  ExprId optional(ExprId part) { return repeat(part, 0, 1); }
  ExprId star(ExprId part) { return repeat(part, 0, kUnbounded); }
  ExprId graph(int32_t vertices, std::vector<GraphEdge> edges);
  ExprId call(RuleId rule);

  // A rule may be called before it has a body; until then it matches nothing.
  RuleId add_rule(std::string name);
  void set_body(RuleId rule, ExprId body) { rules_[rule].body = body; }
  void set_root(RuleId rule) { root_ = rule; }

  const Expr& expr(ExprId id) const { return exprs_[id]; }
  const ByteSet& set(int32_t index) const { return sets_[index]; }
  const std::vector<ByteSet>& sets() const { return sets_; }
  const std::vector<Rule>& rules() const { return rules_; }
  int32_t exprs() const { return static_cast<int32_t>(exprs_.size()); }
  RuleId root() const { return root_; }
  const GrammarLimits& limits() const { return limits_; }

 private:
  ExprId add(Expr expr);

  GrammarLimits limits_;
  std::vector<Expr> exprs_;
  std::vector<ByteSet> sets_;
  std::vector<ExprId> single_bytes_;  // [256] the expression of one byte, or -1
  std::vector<Rule> rules_;
  RuleId root_ = 0;
};

}  // namespace hearth::grammar
