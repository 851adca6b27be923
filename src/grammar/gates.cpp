#include "grammar/gates.h"

#include <utility>

namespace hearth::grammar {

Gates::Gates(const Ir& ir, Question question) : ir_(ir) {
  need_.assign(ir.exprs(), 1);
  users_.resize(ir.exprs());
  for (ExprId id = 0; id < ir.exprs(); ++id) wire(id, question);
  propagate();
}

std::vector<bool> Gates::values() const {
  std::vector<bool> values(ir_.exprs());
  for (ExprId id = 0; id < ir_.exprs(); ++id) values[id] = need_[id] <= 0;
  return values;
}

int32_t Gates::add_gate(int32_t need) {
  need_.push_back(need);
  users_.emplace_back();
  return static_cast<int32_t>(need_.size()) - 1;
}

void Gates::wire(ExprId id, Question question) {
  const Expr& expr = ir_.expr(id);
  switch (expr.kind) {
    case ExprKind::kNever:
      break;
    case ExprKind::kEmpty:
      set(id);
      break;
    case ExprKind::kBytes:
      if (question == Question::kMatches) set(id);
      break;
    case ExprKind::kSeq:
      need_[id] = static_cast<int32_t>(expr.children.size());
      [[fallthrough]];
    case ExprKind::kChoice:
      for (const ExprId child : expr.children) users_[child].push_back(id);
      break;
    case ExprKind::kRepeat:
      if (expr.low == 0) set(id);
      users_[expr.children[0]].push_back(id);
      break;
    case ExprKind::kRule:
      users_[ir_.rules()[expr.low].body].push_back(id);
      break;
    case ExprKind::kGraph:
      wire_graph(id, expr);
      break;
  }
}

void Gates::wire_graph(ExprId id, const Expr& expr) {
  const int32_t first = static_cast<int32_t>(need_.size());
  for (int32_t vertex = 0; vertex < expr.low; ++vertex) add_gate(1);
  for (const GraphEdge& edge : expr.edges) {
    const int32_t both = add_gate(2);
    users_[first + edge.from].push_back(both);
    users_[edge.expr].push_back(both);
    users_[both].push_back(first + edge.to);
  }
  users_[first + expr.low - 1].push_back(id);
  set(first);
}

void Gates::set(int32_t gate) {
  need_[gate] = 0;
  ready_.push_back(gate);
}

void Gates::propagate() {
  while (!ready_.empty()) {
    const int32_t gate = ready_.back();
    ready_.pop_back();
    for (const int32_t user : users_[gate]) {
      if (need_[user] > 0 && --need_[user] == 0) ready_.push_back(user);
    }
  }
}

}  // namespace hearth::grammar
