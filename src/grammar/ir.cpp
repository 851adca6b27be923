#include "grammar/ir.h"

#include <algorithm>

#include "base/check.h"
#include "base/error.h"

namespace hearth::grammar {

Ir::Ir(const GrammarLimits& limits) : limits_(limits), single_bytes_(256, -1) {
  exprs_.push_back({.kind = ExprKind::kNever});
  exprs_.push_back({.kind = ExprKind::kEmpty});
}

ExprId Ir::add(Expr expr) {
  if (exprs() >= limits_.exprs_max) {
    throw_error(ErrorCode::kTooLarge, "grammar",
                "the grammar needs more than {} expressions (exprs_max); make it smaller",
                limits_.exprs_max);
  }
  exprs_.push_back(std::move(expr));
  return exprs() - 1;
}

ExprId Ir::bytes(const ByteSet& set) {
  if (set.none()) return never();
  if (set.count() == 1) {
    const auto byte = static_cast<size_t>(set._Find_first());
    if (single_bytes_[byte] < 0) {
      sets_.push_back(set);
      single_bytes_[byte] =
          add({.kind = ExprKind::kBytes, .low = static_cast<int32_t>(sets_.size()) - 1});
    }
    return single_bytes_[byte];
  }
  sets_.push_back(set);
  return add({.kind = ExprKind::kBytes, .low = static_cast<int32_t>(sets_.size()) - 1});
}

ExprId Ir::byte_range(uint8_t low, uint8_t high) {
  ByteSet set;
  for (int byte = low; byte <= high; ++byte) set.set(byte);
  return bytes(set);
}

ExprId Ir::literal(std::string_view text) {
  std::vector<ExprId> parts;
  parts.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    parts.push_back(byte_range(byte, byte));
  }
  return seq(std::move(parts));
}

ExprId Ir::seq(std::vector<ExprId> parts) {
  if (std::find(parts.begin(), parts.end(), never()) != parts.end()) return never();
  std::erase(parts, empty());
  if (parts.empty()) return empty();
  if (parts.size() == 1) return parts[0];
  return add({.kind = ExprKind::kSeq, .children = std::move(parts)});
}

ExprId Ir::choice(std::vector<ExprId> parts) {
  std::erase(parts, never());
  if (parts.empty()) return never();
  if (parts.size() == 1) return parts[0];
  return add({.kind = ExprKind::kChoice, .children = std::move(parts)});
}

ExprId Ir::repeat(ExprId part, int64_t low, int64_t high) {
  if (low > limits_.repeat_max || high > limits_.repeat_max) {
    throw_error(ErrorCode::kTooLarge, "grammar",
                "a repetition of {} is over the limit of {} (repeat_max)", std::max(low, high),
                limits_.repeat_max);
  }
  if (high != kUnbounded && high < low) return never();
  if (high == 0 || part == empty()) return empty();
  if (part == never()) return low == 0 ? empty() : never();
  if (low == 1 && high == 1) return part;
  return add({.kind = ExprKind::kRepeat,
              .low = static_cast<int32_t>(low),
              .high = static_cast<int32_t>(high),
              .children = {part}});
}

ExprId Ir::graph(int32_t vertices, std::vector<GraphEdge> edges) {
  CHECK(vertices >= 1, "a graph needs a vertex");
  return add({.kind = ExprKind::kGraph, .low = vertices, .edges = std::move(edges)});
}

ExprId Ir::call(RuleId rule) { return add({.kind = ExprKind::kRule, .low = rule}); }

RuleId Ir::add_rule(std::string name) {
  if (rules_.size() >= static_cast<size_t>(limits_.rules_max)) {
    throw_error(ErrorCode::kTooLarge, "grammar", "more than {} rules (rules_max)",
                limits_.rules_max);
  }
  rules_.push_back({std::move(name), never()});
  return static_cast<RuleId>(rules_.size()) - 1;
}

}  // namespace hearth::grammar
