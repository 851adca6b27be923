#include "tokenizer/jinja/expression_parser.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace hearth::tokenizer::jinja {

Expr* ExpressionParser::assign_target(Targets targets) {
  if (targets == Targets::kManyOrAttribute && in_.is_kind(TokenKind::kName) &&
      TokenCursor::is(in_.next(), TokenKind::kOperator, ".")) {
    Expr* base = make_.expr(ExprKind::kName, in_.now().at);
    base->name = in_.take().text;
    Expr* node = make_.expr(ExprKind::kAttr, in_.take().at, {base});
    node->name = in_.expect_identifier();
    return node;
  }
  Expr* first = one_target();
  if (!in_.is_op(",")) return first;
  Expr* tuple = make_.expr(ExprKind::kTuple, first->at, {first});
  while (in_.skip_op(",")) {
    if (!in_.is_kind(TokenKind::kName) && !in_.is_op("(")) break;
    tuple->children.push_back(one_target());
  }
  return tuple;
}

Expr* ExpressionParser::one_target() {
  const TokenCursor::Level level(in_);
  if (in_.skip_op("(")) {
    Expr* inside = assign_target(Targets::kMany);
    in_.expect_op(")");
    return inside;
  }
  Expr* node = make_.expr(ExprKind::kName, in_.now().at);
  node->name = in_.expect_identifier();
  for (std::string_view reserved : {"true", "false", "none", "True", "False", "None"}) {
    if (node->name == reserved) in_.fail(fmt::format("can't assign to '{}'", reserved));
  }
  return node;
}

Expr* ExpressionParser::expression(Conditions conditions) {
  return conditions == Conditions::kYes ? choice() : disjunction();
}

bool ExpressionParser::tuple_ends(TokenCursor::Names extra) const {
  return in_.is_kind(TokenKind::kBlockEnd) || in_.is_kind(TokenKind::kOutputEnd) ||
         in_.is_op(")") || in_.is_any_name(extra);
}

Expr* ExpressionParser::tuple_or_expr(Conditions conditions, TokenCursor::Names extra) {
  const Position at = in_.now().at;
  std::vector<Expr*> items;
  bool is_tuple = false;
  for (;;) {
    if (!items.empty()) {
      if (!in_.skip_op(",")) break;
      is_tuple = true;
    }
    if (tuple_ends(extra)) break;
    items.push_back(expression(conditions));
    if (!in_.is_op(",")) break;
  }
  if (!is_tuple && items.empty()) {
    in_.fail(fmt::format("expected an expression, found {}", in_.describe()));
  }
  return is_tuple ? make_.expr(ExprKind::kTuple, at, std::move(items)) : items[0];
}

Expr* ExpressionParser::choice() {
  const TokenCursor::Level level(in_);
  Expr* value = disjunction();
  while (in_.is_name("if")) {
    const Position at = in_.take().at;
    Expr* condition = disjunction();
    Expr* otherwise = in_.skip_name("else") ? choice() : nullptr;
    value = make_.expr(ExprKind::kChoice, at, {condition, value, otherwise});
  }
  return value;
}

Expr* ExpressionParser::disjunction() {
  Expr* left = conjunction();
  while (in_.is_name("or")) {
    const Position at = in_.take().at;
    left = make_.expr(ExprKind::kOr, at, {left, conjunction()});
  }
  return left;
}

Expr* ExpressionParser::conjunction() {
  Expr* left = negation();
  while (in_.is_name("and")) {
    const Position at = in_.take().at;
    left = make_.expr(ExprKind::kAnd, at, {left, negation()});
  }
  return left;
}

Expr* ExpressionParser::negation() {
  if (!in_.is_name("not")) return comparison();
  const TokenCursor::Level level(in_);
  const Position at = in_.take().at;
  return make_.expr(ExprKind::kNot, at, {negation()});
}

std::optional<Op> ExpressionParser::comparison_operator() {
  static constexpr std::pair<std::string_view, Op> kOps[] = {{"==", Op::kEq}, {"!=", Op::kNe},
                                                             {"<", Op::kLt},  {"<=", Op::kLe},
                                                             {">", Op::kGt},  {">=", Op::kGe}};
  for (const auto& [text, op] : kOps) {
    if (in_.skip_op(text)) return op;
  }
  if (in_.skip_name("in")) return Op::kIn;
  if (in_.is_name("not") && TokenCursor::is(in_.next(), TokenKind::kName, "in")) {
    in_.take();
    in_.take();
    return Op::kNotIn;
  }
  return std::nullopt;
}

Expr* ExpressionParser::comparison() {
  Expr* first = sum();
  const Position at = in_.now().at;
  std::optional<Op> op = comparison_operator();
  if (!op) return first;
  Expr* node = make_.expr(ExprKind::kCompare, at, {first});
  for (; op; op = comparison_operator()) {
    node->ops.push_back(*op);
    node->children.push_back(sum());
  }
  return node;
}

Expr* ExpressionParser::binary(Op op, Expr* left, Expr* right, Position at) {
  Expr* node = make_.expr(ExprKind::kBinary, at, {left, right});
  node->op = op;
  return node;
}

Expr* ExpressionParser::sum() {
  Expr* left = concatenation();
  while (in_.is_op("+") || in_.is_op("-")) {
    const Token token = in_.take();
    left = binary(token.text == "+" ? Op::kAdd : Op::kSub, left, concatenation(), token.at);
  }
  return left;
}

Expr* ExpressionParser::concatenation() {
  Expr* first = product();
  if (!in_.is_op("~")) return first;
  Expr* node = make_.expr(ExprKind::kConcat, in_.now().at, {first});
  while (in_.skip_op("~")) node->children.push_back(product());
  return node;
}

Expr* ExpressionParser::product() {
  Expr* left = power();
  while (in_.is_op("*") || in_.is_op("/") || in_.is_op("//") || in_.is_op("%")) {
    const Token token = in_.take();
    const Op op = token.text == "*"    ? Op::kMul
                  : token.text == "/"  ? Op::kDiv
                  : token.text == "//" ? Op::kFloorDiv
                                       : Op::kMod;
    left = binary(op, left, power(), token.at);
  }
  return left;
}

Expr* ExpressionParser::power() {
  Expr* left = unary(Filters::kYes);
  while (in_.is_op("**")) {
    const Position at = in_.take().at;
    left = binary(Op::kPow, left, unary(Filters::kYes), at);
  }
  return left;
}

Expr* ExpressionParser::unary(Filters with_filters) {
  const TokenCursor::Level level(in_);
  Expr* node = nullptr;
  const Position at = in_.now().at;
  if (in_.skip_op("-")) {
    node = make_.expr(ExprKind::kNegate, at, {unary(Filters::kNo)});
  } else if (in_.skip_op("+")) {
    node = make_.expr(ExprKind::kPlus, at, {unary(Filters::kNo)});
  } else {
    node = primary();
  }
  node = postfix(node);
  return with_filters == Filters::kYes ? filters_and_tests(node) : node;
}

Expr* ExpressionParser::primary() {
  const Token token = in_.now();
  switch (token.kind) {
    case TokenKind::kName:
      in_.take();
      return name(token);
    case TokenKind::kString: {
      std::string text;
      while (in_.is_kind(TokenKind::kString)) text += in_.take().text;
      return make_.constant(make_.text_value(std::move(text)), token.at);
    }
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      in_.take();
      return number(token);
    case TokenKind::kOperator:
      if (token.text == "(") return parenthesized();
      if (token.text == "[") return list_literal();
      if (token.text == "{") return dict_literal();
      break;
    default:
      break;
  }
  in_.fail(fmt::format("expected an expression, found {}", in_.describe()));
}

Expr* ExpressionParser::name(const Token& token) {
  const std::string& text = token.text;
  if (text == "true" || text == "True") return make_.constant(Value::boolean(true), token.at);
  if (text == "false" || text == "False") return make_.constant(Value::boolean(false), token.at);
  if (text == "none" || text == "None") return make_.constant(Value::none(), token.at);
  if (macro_ != nullptr) {
    macro_->uses_varargs |= text == "varargs";
    macro_->uses_kwargs |= text == "kwargs";
    macro_->uses_caller |= text == "caller";
  }
  Expr* node = make_.expr(ExprKind::kName, token.at);
  node->name = text;
  return node;
}

Expr* ExpressionParser::number(const Token& token) {
  const char* first = token.text.data();
  const char* last = first + token.text.size();
  if (token.kind == TokenKind::kFloat) {
    double value = 0;
    std::from_chars(first, last, value);
    return make_.constant(Value::real(value), token.at);
  }
  int64_t value = 0;
  if (std::from_chars(first, last, value).ec != std::errc()) {
    in_.fail_at(token.at, "the number does not fit 64 bits");
  }
  return make_.constant(Value::integer(value), token.at);
}

Expr* ExpressionParser::parenthesized() {
  const Position at = in_.take().at;
  if (in_.skip_op(")")) return make_.expr(ExprKind::kTuple, at);
  Expr* inside = tuple_or_expr();
  in_.expect_op(")");
  return inside;
}

Expr* ExpressionParser::list_literal() {
  Expr* node = make_.expr(ExprKind::kList, in_.take().at);
  while (!in_.is_op("]")) {
    if (!node->children.empty()) in_.expect_op(",");
    if (in_.is_op("]")) break;
    node->children.push_back(expression());
  }
  in_.expect_op("]");
  return node;
}

Expr* ExpressionParser::dict_literal() {
  Expr* node = make_.expr(ExprKind::kDict, in_.take().at);
  while (!in_.is_op("}")) {
    if (!node->children.empty()) in_.expect_op(",");
    if (in_.is_op("}")) break;
    node->children.push_back(expression());
    in_.expect_op(":");
    node->children.push_back(expression());
  }
  in_.expect_op("}");
  return node;
}

Expr* ExpressionParser::postfix(Expr* node) {
  for (;;) {
    if (in_.is_op(".")) {
      node = attribute(node);
    } else if (in_.is_op("[")) {
      node = subscript(node);
    } else if (in_.is_op("(")) {
      node = call(node);
    } else {
      return node;
    }
  }
}

Expr* ExpressionParser::filters_and_tests(Expr* node) {
  for (;;) {
    if (in_.is_op("|")) {
      node = filters(node);
    } else if (in_.is_name("is")) {
      node = test(node);
    } else if (in_.is_op("(")) {
      node = call(node);
    } else {
      return node;
    }
  }
}

Expr* ExpressionParser::attribute(Expr* base) {
  const Position at = in_.take().at;
  if (in_.is_kind(TokenKind::kInteger)) {
    const Token token = in_.take();
    return make_.expr(ExprKind::kItem, at, {base, number(token)});
  }
  Expr* node = make_.expr(ExprKind::kAttr, at, {base});
  node->name = in_.expect_identifier();
  return node;
}

Expr* ExpressionParser::subscript(Expr* base) {
  const Position at = in_.take().at;
  std::vector<Expr*> parts;
  Expr* slice = nullptr;
  while (!in_.is_op("]")) {
    if (!parts.empty()) in_.expect_op(",");
    parts.push_back(slice_or_expr(base, at, slice));
  }
  in_.expect_op("]");
  if (parts.empty()) in_.fail("expected a subscript expression");
  if (slice != nullptr) {
    if (parts.size() > 1) in_.fail("a slice can not be one of several subscripts");
    return slice;
  }
  Expr* index = parts.size() == 1 ? parts[0] : make_.expr(ExprKind::kTuple, at, std::move(parts));
  return make_.expr(ExprKind::kItem, at, {base, index});
}

bool ExpressionParser::slice_part_ends() const {
  return in_.is_op(":") || in_.is_op("]") || in_.is_op(",");
}

Expr* ExpressionParser::slice_or_expr(Expr* base, Position at, Expr*& slice) {
  Expr* bounds[3] = {nullptr, nullptr, nullptr};
  if (!in_.is_op(":")) {
    bounds[0] = expression();
    if (!in_.is_op(":")) return bounds[0];
  }
  for (int i = 1; i < 3 && in_.skip_op(":"); ++i) {
    if (!slice_part_ends()) bounds[i] = expression();
  }
  slice = make_.expr(ExprKind::kSlice, at, {base, bounds[0], bounds[1], bounds[2]});
  return slice;
}

CallArguments ExpressionParser::call_arguments() {
  CallArguments out;
  in_.expect_op("(");
  bool first = true;
  while (!in_.is_op(")")) {
    if (!std::exchange(first, false)) in_.expect_op(",");
    if (in_.is_op(")")) break;
    if (in_.skip_op("*")) {
      if (out.spread != nullptr || out.named_spread != nullptr) in_.fail("invalid call arguments");
      out.spread = expression();
    } else if (in_.skip_op("**")) {
      if (out.named_spread != nullptr) in_.fail("invalid call arguments");
      out.named_spread = expression();
    } else if (in_.is_kind(TokenKind::kName) &&
               TokenCursor::is(in_.next(), TokenKind::kOperator, "=")) {
      std::string key = in_.take().text;
      in_.take();
      out.named.emplace_back(std::move(key), expression());
    } else {
      if (!out.named.empty() || out.spread != nullptr || out.named_spread != nullptr) {
        in_.fail("a positional argument follows a named one");
      }
      out.positional.push_back(expression());
    }
  }
  in_.expect_op(")");
  return out;
}

Expr* ExpressionParser::call(Expr* function) {
  Expr* node = make_.expr(ExprKind::kCall, in_.now().at, {function});
  node->arguments = call_arguments();
  return node;
}

std::string ExpressionParser::dotted_name() {
  std::string out = in_.expect_identifier();
  while (in_.skip_op(".")) out += "." + in_.expect_identifier();
  return out;
}

Expr* ExpressionParser::filters(Expr* node) {
  while (in_.skip_op("|")) node = one_filter(node);
  return node;
}

Expr* ExpressionParser::filters_from_name() { return filters(one_filter(nullptr)); }

Expr* ExpressionParser::one_filter(Expr* input) {
  Expr* node = make_.expr(ExprKind::kFilter, in_.now().at, {input});
  node->name = dotted_name();
  if (in_.is_op("(")) node->arguments = call_arguments();
  return node;
}

Expr* ExpressionParser::test(Expr* input) {
  const Position at = in_.take().at;
  const bool negated = in_.skip_name("not");
  Expr* node = make_.expr(ExprKind::kTest, at, {input});
  node->name = dotted_name();
  if (in_.is_op("(")) {
    node->arguments = call_arguments();
  } else if (starts_argument()) {
    if (in_.is_name("is")) in_.fail("tests can not be chained with 'is'");
    node->arguments.positional.push_back(postfix(primary()));
  }
  return negated ? make_.expr(ExprKind::kNot, at, {node}) : node;
}

bool ExpressionParser::starts_argument() const {
  switch (in_.now().kind) {
    case TokenKind::kName:
      return !in_.is_any_name({"else", "or", "and"});
    case TokenKind::kString:
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return true;
    case TokenKind::kOperator:
      return in_.is_op("[") || in_.is_op("{");
    default:
      return false;
  }
}

}  // namespace hearth::tokenizer::jinja
