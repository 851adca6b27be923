#include "grammar/gbnf.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "base/error.h"
#include "grammar/code_points.h"

namespace hearth::grammar {
namespace {

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

class GbnfParser {
 public:
  GbnfParser(Ir& ir, std::string_view text) : ir_(ir), text_(text) {}

  ExprId parse() {
    for (skip_space(); !done(); skip_space()) definition();
    const auto root = rules_.find("root");
    if (root == rules_.end() || !root->second.defined) {
      throw_error(ErrorCode::kInvalidArgument, "grammar",
                  "rule 'root' is missing; it is the start");
    }
    for (const auto& [name, rule] : rules_) {
      if (rule.defined) continue;
      at_ = rule.first_use;
      fail("rule '" + name + "' is used and not defined");
    }
    return ir_.call(root->second.id);
  }

 private:
  struct Named {
    RuleId id = 0;
    bool defined = false;
    size_t first_use = 0;
  };

  [[noreturn]] void fail(const std::string& what,
                         ErrorCode code = ErrorCode::kInvalidArgument) const {
    const std::string_view before = text_.substr(0, std::min(at_, text_.size()));
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const size_t column = before.size() - (before.rfind('\n') + 1) + 1;
    throw_error(code, "grammar", "line {}, column {}: {}", line, column, what);
  }

  bool done() const { return at_ >= text_.size(); }
  char peek() const { return done() ? '\0' : text_[at_]; }
  bool take(std::string_view what) {
    if (!text_.substr(at_).starts_with(what)) return false;
    at_ += what.size();
    return true;
  }

  void skip_space() {
    while (!done()) {
      const char c = peek();
      if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
        ++at_;
      } else {
        return;
      }
    }
  }

  std::string name() {
    const size_t start = at_;
    while (!done() && is_name_char(peek())) ++at_;
    if (at_ == start) fail("expected the name of a rule");
    return std::string(text_.substr(start, at_ - start));
  }

  Named& named(const std::string& name, size_t use) {
    const auto [it, fresh] = rules_.try_emplace(name);
    if (fresh) it->second = {ir_.add_rule(name), false, use};
    return it->second;
  }

  void definition() {
    const size_t start = at_;
    const std::string rule = name();
    skip_space();
    if (!take("::=")) fail("expected '::=' after '" + rule + "'");
    if (named(rule, start).defined) fail("rule '" + rule + "' is defined twice");
    named(rule, start).defined = true;
    skip_space();
    const ExprId body = alternatives(0);
    ir_.set_body(named(rule, start).id, body);
    if (peek() == ')') fail("')' has no '('");
  }

  // A line may go on below; the next rule starts at a name with ::= behind it.
  bool at_definition() {
    if (!is_name_char(peek())) return false;
    const size_t start = at_;
    while (!done() && is_name_char(peek())) ++at_;
    skip_space();
    const bool found = text_.substr(at_).starts_with("::=");
    at_ = start;
    return found;
  }

  ExprId alternatives(int depth) {
    if (depth > ir_.limits().nesting_max) {
      fail("groups nest deeper than " + std::to_string(ir_.limits().nesting_max) + " (nesting_max)",
           ErrorCode::kTooLarge);
    }
    std::vector<ExprId> choices{sequence(depth)};
    while (take("|")) {
      skip_space();
      choices.push_back(sequence(depth));
    }
    return ir_.choice(std::move(choices));
  }

  ExprId sequence(int depth) {
    std::vector<ExprId> parts;
    while (!done() && peek() != '|' && peek() != ')' && !at_definition()) {
      parts.push_back(repeated(element(depth)));
      skip_space();
    }
    return ir_.seq(std::move(parts));
  }

  ExprId repeated(ExprId expr) {
    for (int count = 0;; ++count) {
      // Repeats of repeats nest expressions as groups do.
      if (count > ir_.limits().nesting_max) fail("too many repeats of repeats");
      if (take("*")) {
        expr = ir_.star(expr);
      } else if (take("+")) {
        expr = ir_.repeat(expr, 1, kUnbounded);
      } else if (take("?")) {
        expr = ir_.optional(expr);
      } else if (take("{")) {
        expr = counted(expr);
      } else {
        return expr;
      }
    }
  }

  ExprId counted(ExprId expr) {
    skip_space();
    const std::optional<int64_t> low = number();
    skip_space();
    std::optional<int64_t> high = low;
    if (take(",")) {
      skip_space();
      high = number();
      if (!high) high = kUnbounded;
      skip_space();
    }
    if ((!low && high == kUnbounded) || !high || !take("}")) {
      fail("expected {m}, {m,} or {m,n}");
    }
    if (*high != kUnbounded && *high < low.value_or(0)) fail("the bounds are out of order");
    return ir_.repeat(expr, low.value_or(0), *high);
  }

  std::optional<int64_t> number() {
    const size_t start = at_;
    int64_t value = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at_) {
      value = std::min<int64_t>(value * 10 + (peek() - '0'), int64_t{1} << 40);
    }
    return at_ == start ? std::nullopt : std::optional(value);
  }

  ExprId element(int depth) {
    const char c = peek();
    if (c == '"' || c == '\'') return quoted(c);
    if (c == '[') return utf8_expr(ir_, character_class());
    if (take(".")) return utf8_expr(ir_, CodePointSet::any());
    if (c == '(') return group(depth);
    if (is_name_char(c)) {
      const size_t use = at_;
      return ir_.call(named(name(), use).id);
    }
    if (c == '<' || c == '!')
      fail("tokens as terminals are not supported", ErrorCode::kUnsupported);
    fail("expected text in quotes, a class, a group or the name of a rule");
  }

  ExprId group(int depth) {
    take("(");
    if (peek() == '=') fail("look-ahead is not supported", ErrorCode::kUnsupported);
    skip_space();
    const ExprId expr = alternatives(depth + 1);
    if (!take(")")) fail("a group is not closed");
    return expr;
  }

  ExprId quoted(char quote) {
    ++at_;
    std::string literal;
    while (peek() != quote || done()) {
      if (done() || peek() == '\n') fail("text is not closed");
      append_utf8(literal, code_point());
    }
    ++at_;
    return ir_.literal(literal);
  }

  uint32_t code_point() {
    if (!take("\\")) return next_code_point(text_, at_, "grammar");
    if (done()) fail("a lone '\\' at the end");
    const char c = text_[at_++];
    switch (c) {
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case 'x':
        return hex(2);
      case 'u':
        return hex(4);
      case 'U':
        return hex(8);
      default:
        break;
    }
    if (std::string_view("\\\"'[]-^/.").find(c) == std::string_view::npos) {
      --at_;
      fail(std::string("unknown escape '\\") + c + "'");
    }
    return static_cast<uint32_t>(c);
  }

  uint32_t hex(int digits) {
    uint32_t value = 0;
    for (int i = 0; i < digits; ++i, ++at_) {
      const char c = static_cast<char>(peek() | 0x20);
      const bool decimal = peek() >= '0' && peek() <= '9';
      if (!decimal && !(c >= 'a' && c <= 'f')) fail("an escape has too few digits");
      value = value * 16 + static_cast<uint32_t>(decimal ? peek() - '0' : c - 'a' + 10);
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) fail("not a code point");
    return value;
  }

  CodePointSet character_class() {
    take("[");
    const bool negated = take("^");
    std::vector<CodePointRange> ranges;
    while (peek() != ']' || done()) {
      if (done()) fail("a class is not closed");
      const uint32_t low = code_point();
      uint32_t high = low;
      if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        high = code_point();
      }
      if (high < low) fail("a range of a class is out of order");
      ranges.push_back({low, high});
    }
    take("]");
    const CodePointSet set(std::move(ranges));
    return negated ? set.complement() : set;
  }

  Ir& ir_;
  std::string_view text_;
  size_t at_ = 0;
  std::map<std::string, Named> rules_;
};

}  // namespace

ExprId gbnf_expr(Ir& ir, std::string_view text) { return GbnfParser(ir, text).parse(); }

}  // namespace hearth::grammar
