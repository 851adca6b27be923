#include "tokenizer/jinja/parser.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <optional>

#include "base/error.h"
#include "tokenizer/jinja/lexer.h"

namespace hearth::tokenizer::jinja {
namespace {

constexpr int kDepthMax = 100;  // of nested brackets and blocks

class Parser {
 public:
  Parser(std::vector<Token> tokens, const std::string& name, Ast& ast)
      : tokens_(std::move(tokens)), name_(name), ast_(ast) {}

  void run() {
    ast_.body = body({});
    if (!is_kind(TokenKind::kEnd)) fail("unexpected tag");
  }

 private:
  using Names = std::initializer_list<std::string_view>;

  // Bounds the recursion of the parser itself.
  class Level {
   public:
    explicit Level(Parser& parser) : parser_(parser) {
      if (++parser_.depth_ > kDepthMax) {
        parser_.fail(fmt::format("nested deeper than {} levels", kDepthMax));
      }
    }
    ~Level() { --parser_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Parser& parser_;
  };

  const Token& now() const { return tokens_[at_]; }
  const Token& next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  bool is_kind(TokenKind kind) const { return now().kind == kind; }
  static bool is(const Token& token, TokenKind kind, std::string_view text) {
    return token.kind == kind && token.text == text;
  }
  bool is_name(std::string_view text) const { return is(now(), TokenKind::kName, text); }
  bool is_op(std::string_view text) const { return is(now(), TokenKind::kOperator, text); }
  bool is_any_name(Names names) const {
    return is_kind(TokenKind::kName) &&
           std::find(names.begin(), names.end(), now().text) != names.end();
  }
  Token take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool skip_name(std::string_view text) {
    const bool found = is_name(text);
    if (found) take();
    return found;
  }
  bool skip_op(std::string_view text) {
    const bool found = is_op(text);
    if (found) take();
    return found;
  }

  [[noreturn]] void fail(std::string text) const { fail_at(name_, now().at, std::move(text)); }

  std::string describe() const {
    switch (now().kind) {
      case TokenKind::kText:
      case TokenKind::kBlockBegin:
      case TokenKind::kOutputBegin:
      case TokenKind::kEnd:
        return "the end of the template";
      case TokenKind::kBlockEnd:
        return "the end of the tag '%}'";
      case TokenKind::kOutputEnd:
        return "the end of the tag '}}'";
      default:
        return fmt::format("'{}'", now().text);
    }
  }

  void expect_op(std::string_view text) {
    if (!skip_op(text)) fail(fmt::format("expected '{}', found {}", text, describe()));
  }
  void expect_name(std::string_view text) {
    if (!skip_name(text)) fail(fmt::format("expected '{}', found {}", text, describe()));
  }
  std::string expect_identifier() {
    if (!is_kind(TokenKind::kName)) fail(fmt::format("expected a name, found {}", describe()));
    return take().text;
  }
  void expect_block_end() {
    if (!is_kind(TokenKind::kBlockEnd)) fail(fmt::format("expected '%}}', found {}", describe()));
    take();
  }

  Expr* expr(ExprKind kind, Position at) {
    Expr& node = ast_.exprs.emplace_back();
    node.kind = kind;
    node.at = at;
    return &node;
  }
  Expr* expr(ExprKind kind, Position at, std::vector<Expr*> children) {
    Expr* node = expr(kind, at);
    node->children = std::move(children);
    return node;
  }
  Stmt* stmt(StmtKind kind, Position at) {
    Stmt& node = ast_.stmts.emplace_back();
    node.kind = kind;
    node.at = at;
    return &node;
  }
  Expr* constant(Value value, Position at) {
    Expr* node = expr(ExprKind::kConst, at);
    node->constant = value;
    return node;
  }
  Value text_value(std::string text) {
    ast_.strings.push_back(std::make_unique<String>(std::move(text), Markup::kPlain));
    return Value(ast_.strings.back().get());
  }

  // ---- statements

  // Statements up to a tag whose name is one of `ends` (left to be read), or the end.
  Body body(Names ends) {
    const Level level(*this);
    Body out;
    for (;;) {
      const Position at = now().at;
      switch (now().kind) {
        case TokenKind::kText: {
          Stmt* node = stmt(StmtKind::kText, at);
          node->text = take().text;
          out.push_back(node);
          break;
        }
        case TokenKind::kOutputBegin: {
          take();
          Stmt* node = stmt(StmtKind::kOutput, at);
          node->value = tuple_or_expr();
          if (!is_kind(TokenKind::kOutputEnd)) {
            fail(fmt::format("expected '}}}}', found {}", describe()));
          }
          take();
          out.push_back(node);
          break;
        }
        case TokenKind::kBlockBegin:
          if (!block(ends, out)) return out;
          break;
        default:
          if (ends.size() != 0) {
            fail(fmt::format("the template ends before {{% {} %}}", *(ends.end() - 1)));
          }
          return out;
      }
    }
  }

  // One {% tag %}; false when it is one of `ends`, whose name is then the current token.
  bool block(Names ends, Body& out) {
    take();
    if (is_any_name(ends)) return false;
    out.push_back(statement());
    return true;
  }

  Stmt* statement() {
    const Position at = now().at;
    const std::string tag = expect_identifier();
    if (tag == "for") return for_statement(at);
    if (tag == "if") return if_statement(at);
    if (tag == "set") return set_statement(at);
    if (tag == "macro") return macro_statement(at);
    if (tag == "call") return call_statement(at);
    if (tag == "filter") return filter_statement(at);
    if (tag == "with") return with_statement(at);
    if (tag == "generation" || tag == "block") return scope_statement(tag, at);
    if (tag == "print") return print_statement(at);
    if (tag == "break" || tag == "continue") return loop_control(tag, at);
    fail_at(name_, at, fmt::format("unknown tag '{}'", tag));
  }

  Stmt* loop_control(const std::string& tag, Position at) {
    if (loops_ == 0) fail_at(name_, at, fmt::format("'{}' outside a loop", tag));
    expect_block_end();
    return stmt(tag == "break" ? StmtKind::kBreak : StmtKind::kContinue, at);
  }

  Stmt* print_statement(Position at) {
    Stmt* node = stmt(StmtKind::kOutput, at);
    node->value = expr(ExprKind::kConcat, at);
    while (!is_kind(TokenKind::kBlockEnd)) {
      if (!node->value->children.empty()) expect_op(",");
      node->value->children.push_back(expression());
    }
    expect_block_end();
    return node;
  }

  Stmt* scope_statement(const std::string& tag, Position at) {
    Stmt* node = stmt(StmtKind::kScope, at);
    if (tag == "block") expect_identifier();
    expect_block_end();
    const int outer_loops = std::exchange(loops_, 0);
    if (tag == "block") {
      node->body = body({"endblock"});
      take();
      if (is_kind(TokenKind::kName)) take();
    } else {
      node->body = body({"endgeneration"});
      take();
    }
    loops_ = outer_loops;
    expect_block_end();
    return node;
  }

  Stmt* for_statement(Position at) {
    Stmt* node = stmt(StmtKind::kFor, at);
    node->target = assign_target(Targets::kMany);
    expect_name("in");
    node->value = tuple_or_expr(Conditions::kNo, {"recursive"});
    if (skip_name("if")) node->condition = expression();
    node->recursive = skip_name("recursive");
    expect_block_end();
    ++loops_;
    node->body = body({"endfor", "else"});
    --loops_;
    if (skip_name("else")) {
      expect_block_end();
      node->orelse = body({"endfor"});
    }
    expect_name("endfor");
    expect_block_end();
    return node;
  }

  Stmt* if_statement(Position at) {
    Stmt* node = stmt(StmtKind::kIf, at);
    Expr* condition = tuple_or_expr(Conditions::kNo);
    for (;;) {
      expect_block_end();
      node->branches.emplace_back(condition, body({"elif", "else", "endif"}));
      if (skip_name("elif")) {
        condition = tuple_or_expr(Conditions::kNo);
        continue;
      }
      if (skip_name("else")) {
        expect_block_end();
        node->branches.emplace_back(nullptr, body({"endif"}));
      }
      expect_name("endif");
      expect_block_end();
      return node;
    }
  }

  Stmt* set_statement(Position at) {
    Stmt* node = stmt(StmtKind::kSet, at);
    node->target = assign_target(Targets::kManyOrAttribute);
    if (skip_op("=")) {
      node->value = tuple_or_expr();
      expect_block_end();
      return node;
    }
    node->kind = StmtKind::kSetBlock;
    if (is_op("|")) node->filter = filters(nullptr);
    expect_block_end();
    const int outer_loops = std::exchange(loops_, 0);
    node->body = body({"endset"});
    loops_ = outer_loops;
    take();
    expect_block_end();
    return node;
  }

  void signature(Stmt* node) {
    expect_op("(");
    while (!is_op(")")) {
      if (!node->parameters.empty()) expect_op(",");
      node->parameters.push_back(expect_identifier());
      if (skip_op("=")) {
        node->defaults.push_back(expression());
      } else if (!node->defaults.empty()) {
        fail("a parameter without a default follows one that has a default");
      }
    }
    expect_op(")");
  }

  void callable_body(Stmt* node, std::string_view end) {
    Stmt* outer = std::exchange(macro_, node);
    const int outer_loops = std::exchange(loops_, 0);
    node->body = body({end});
    take();
    loops_ = outer_loops;
    macro_ = outer;
    const auto takes = [&](std::string_view name) {
      return std::find(node->parameters.begin(), node->parameters.end(), name) !=
             node->parameters.end();
    };
    node->uses_varargs = node->uses_varargs && !takes("varargs");
    node->uses_kwargs = node->uses_kwargs && !takes("kwargs");
    node->uses_caller = node->uses_caller && !takes("caller");
    expect_block_end();
  }

  Stmt* macro_statement(Position at) {
    Stmt* node = stmt(StmtKind::kMacro, at);
    node->text = expect_identifier();
    signature(node);
    expect_block_end();
    callable_body(node, "endmacro");
    return node;
  }

  Stmt* call_statement(Position at) {
    Stmt* node = stmt(StmtKind::kCallBlock, at);
    node->text = "caller";
    if (is_op("(")) signature(node);
    node->value = expression();
    if (node->value->kind != ExprKind::kCall) fail("expected a call after {% call");
    expect_block_end();
    callable_body(node, "endcall");
    return node;
  }

  Stmt* filter_statement(Position at) {
    Stmt* node = stmt(StmtKind::kFilterBlock, at);
    node->filter = filters_from_name();
    expect_block_end();
    const int outer_loops = std::exchange(loops_, 0);
    node->body = body({"endfilter"});
    loops_ = outer_loops;
    take();
    expect_block_end();
    return node;
  }

  Stmt* with_statement(Position at) {
    Stmt* node = stmt(StmtKind::kWith, at);
    while (!is_kind(TokenKind::kBlockEnd)) {
      if (!node->bindings.empty()) expect_op(",");
      Expr* target = assign_target(Targets::kMany);
      expect_op("=");
      node->bindings.emplace_back(target, expression());
    }
    expect_block_end();
    node->body = body({"endwith"});
    take();
    expect_block_end();
    return node;
  }

  enum class Targets { kMany, kManyOrAttribute };

  Expr* assign_target(Targets targets) {
    if (targets == Targets::kManyOrAttribute && is_kind(TokenKind::kName) &&
        is(next(), TokenKind::kOperator, ".")) {
      Expr* base = expr(ExprKind::kName, now().at);
      base->name = take().text;
      Expr* node = expr(ExprKind::kAttr, take().at, {base});
      node->name = expect_identifier();
      return node;
    }
    Expr* first = one_target();
    if (!is_op(",")) return first;
    Expr* tuple = expr(ExprKind::kTuple, first->at, {first});
    while (skip_op(",")) {
      if (!is_kind(TokenKind::kName) && !is_op("(")) break;
      tuple->children.push_back(one_target());
    }
    return tuple;
  }

  Expr* one_target() {
    const Level level(*this);
    if (skip_op("(")) {
      Expr* inside = assign_target(Targets::kMany);
      expect_op(")");
      return inside;
    }
    Expr* node = expr(ExprKind::kName, now().at);
    node->name = expect_identifier();
    for (std::string_view reserved : {"true", "false", "none", "True", "False", "None"}) {
      if (node->name == reserved) fail(fmt::format("can't assign to '{}'", reserved));
    }
    return node;
  }

  // ---- expressions

  enum class Conditions { kNo, kYes };

  Expr* expression(Conditions conditions = Conditions::kYes) {
    return conditions == Conditions::kYes ? choice() : disjunction();
  }

  bool tuple_ends(Names extra) const {
    return is_kind(TokenKind::kBlockEnd) || is_kind(TokenKind::kOutputEnd) || is_op(")") ||
           is_any_name(extra);
  }

  Expr* tuple_or_expr(Conditions conditions = Conditions::kYes, Names extra = {}) {
    const Position at = now().at;
    std::vector<Expr*> items;
    bool is_tuple = false;
    for (;;) {
      if (!items.empty()) {
        if (!skip_op(",")) break;
        is_tuple = true;
      }
      if (tuple_ends(extra)) break;
      items.push_back(expression(conditions));
      if (!is_op(",")) break;
    }
    if (!is_tuple && items.empty()) {
      fail(fmt::format("expected an expression, found {}", describe()));
    }
    return is_tuple ? expr(ExprKind::kTuple, at, std::move(items)) : items[0];
  }

  Expr* choice() {
    const Level level(*this);
    Expr* value = disjunction();
    while (is_name("if")) {
      const Position at = take().at;
      Expr* condition = disjunction();
      Expr* otherwise = skip_name("else") ? choice() : nullptr;
      value = expr(ExprKind::kChoice, at, {condition, value, otherwise});
    }
    return value;
  }

  Expr* disjunction() {
    Expr* left = conjunction();
    while (is_name("or")) {
      const Position at = take().at;
      left = expr(ExprKind::kOr, at, {left, conjunction()});
    }
    return left;
  }

  Expr* conjunction() {
    Expr* left = negation();
    while (is_name("and")) {
      const Position at = take().at;
      left = expr(ExprKind::kAnd, at, {left, negation()});
    }
    return left;
  }

  Expr* negation() {
    if (!is_name("not")) return comparison();
    const Level level(*this);
    const Position at = take().at;
    return expr(ExprKind::kNot, at, {negation()});
  }

  std::optional<Op> comparison_operator() {
    static constexpr std::pair<std::string_view, Op> kOps[] = {{"==", Op::kEq}, {"!=", Op::kNe},
                                                               {"<", Op::kLt},  {"<=", Op::kLe},
                                                               {">", Op::kGt},  {">=", Op::kGe}};
    for (const auto& [text, op] : kOps) {
      if (skip_op(text)) return op;
    }
    if (skip_name("in")) return Op::kIn;
    if (is_name("not") && is(next(), TokenKind::kName, "in")) {
      take();
      take();
      return Op::kNotIn;
    }
    return std::nullopt;
  }

  Expr* comparison() {
    Expr* first = sum();
    const Position at = now().at;
    std::optional<Op> op = comparison_operator();
    if (!op) return first;
    Expr* node = expr(ExprKind::kCompare, at, {first});
    for (; op; op = comparison_operator()) {
      node->ops.push_back(*op);
      node->children.push_back(sum());
    }
    return node;
  }

  Expr* binary(Op op, Expr* left, Expr* right, Position at) {
    Expr* node = expr(ExprKind::kBinary, at, {left, right});
    node->op = op;
    return node;
  }

  Expr* sum() {
    Expr* left = concatenation();
    while (is_op("+") || is_op("-")) {
      const Token token = take();
      left = binary(token.text == "+" ? Op::kAdd : Op::kSub, left, concatenation(), token.at);
    }
    return left;
  }

  Expr* concatenation() {
    Expr* first = product();
    if (!is_op("~")) return first;
    Expr* node = expr(ExprKind::kConcat, now().at, {first});
    while (skip_op("~")) node->children.push_back(product());
    return node;
  }

  Expr* product() {
    Expr* left = power();
    while (is_op("*") || is_op("/") || is_op("//") || is_op("%")) {
      const Token token = take();
      const Op op = token.text == "*"    ? Op::kMul
                    : token.text == "/"  ? Op::kDiv
                    : token.text == "//" ? Op::kFloorDiv
                                         : Op::kMod;
      left = binary(op, left, power(), token.at);
    }
    return left;
  }

  Expr* power() {
    Expr* left = unary(Filters::kYes);
    while (is_op("**")) {
      const Position at = take().at;
      left = binary(Op::kPow, left, unary(Filters::kYes), at);
    }
    return left;
  }

  enum class Filters { kNo, kYes };

  Expr* unary(Filters with_filters) {
    const Level level(*this);
    Expr* node = nullptr;
    const Position at = now().at;
    if (skip_op("-")) {
      node = expr(ExprKind::kNegate, at, {unary(Filters::kNo)});
    } else if (skip_op("+")) {
      node = expr(ExprKind::kPlus, at, {unary(Filters::kNo)});
    } else {
      node = primary();
    }
    node = postfix(node);
    return with_filters == Filters::kYes ? filters_and_tests(node) : node;
  }

  Expr* primary() {
    const Token token = now();
    switch (token.kind) {
      case TokenKind::kName:
        take();
        return name(token);
      case TokenKind::kString: {
        std::string text;
        while (is_kind(TokenKind::kString)) text += take().text;
        return constant(text_value(std::move(text)), token.at);
      }
      case TokenKind::kInteger:
      case TokenKind::kFloat:
        take();
        return number(token);
      case TokenKind::kOperator:
        if (token.text == "(") return parenthesized();
        if (token.text == "[") return list_literal();
        if (token.text == "{") return dict_literal();
        break;
      default:
        break;
    }
    fail(fmt::format("expected an expression, found {}", describe()));
  }

  Expr* name(const Token& token) {
    const std::string& text = token.text;
    if (text == "true" || text == "True") return constant(Value::boolean(true), token.at);
    if (text == "false" || text == "False") return constant(Value::boolean(false), token.at);
    if (text == "none" || text == "None") return constant(Value::none(), token.at);
    if (macro_ != nullptr) {
      macro_->uses_varargs |= text == "varargs";
      macro_->uses_kwargs |= text == "kwargs";
      macro_->uses_caller |= text == "caller";
    }
    Expr* node = expr(ExprKind::kName, token.at);
    node->name = text;
    return node;
  }

  Expr* number(const Token& token) {
    const char* first = token.text.data();
    const char* last = first + token.text.size();
    if (token.kind == TokenKind::kFloat) {
      double value = 0;
      std::from_chars(first, last, value);
      return constant(Value::real(value), token.at);
    }
    int64_t value = 0;
    if (std::from_chars(first, last, value).ec != std::errc()) {
      fail_at(name_, token.at, "the number does not fit 64 bits");
    }
    return constant(Value::integer(value), token.at);
  }

  Expr* parenthesized() {
    const Position at = take().at;
    if (skip_op(")")) return expr(ExprKind::kTuple, at);
    Expr* inside = tuple_or_expr();
    expect_op(")");
    return inside;
  }

  Expr* list_literal() {
    Expr* node = expr(ExprKind::kList, take().at);
    while (!is_op("]")) {
      if (!node->children.empty()) expect_op(",");
      if (is_op("]")) break;
      node->children.push_back(expression());
    }
    expect_op("]");
    return node;
  }

  Expr* dict_literal() {
    Expr* node = expr(ExprKind::kDict, take().at);
    while (!is_op("}")) {
      if (!node->children.empty()) expect_op(",");
      if (is_op("}")) break;
      node->children.push_back(expression());
      expect_op(":");
      node->children.push_back(expression());
    }
    expect_op("}");
    return node;
  }

  Expr* postfix(Expr* node) {
    for (;;) {
      if (is_op(".")) {
        node = attribute(node);
      } else if (is_op("[")) {
        node = subscript(node);
      } else if (is_op("(")) {
        node = call(node);
      } else {
        return node;
      }
    }
  }

  Expr* filters_and_tests(Expr* node) {
    for (;;) {
      if (is_op("|")) {
        node = filters(node);
      } else if (is_name("is")) {
        node = test(node);
      } else if (is_op("(")) {
        node = call(node);
      } else {
        return node;
      }
    }
  }

  Expr* attribute(Expr* base) {
    const Position at = take().at;
    if (is_kind(TokenKind::kInteger)) {
      const Token token = take();
      return expr(ExprKind::kItem, at, {base, number(token)});
    }
    Expr* node = expr(ExprKind::kAttr, at, {base});
    node->name = expect_identifier();
    return node;
  }

  Expr* subscript(Expr* base) {
    const Position at = take().at;
    std::vector<Expr*> parts;
    Expr* slice = nullptr;
    while (!is_op("]")) {
      if (!parts.empty()) expect_op(",");
      parts.push_back(slice_or_expr(base, at, slice));
    }
    expect_op("]");
    if (parts.empty()) fail("expected a subscript expression");
    if (slice != nullptr) {
      if (parts.size() > 1) fail("a slice can not be one of several subscripts");
      return slice;
    }
    Expr* index = parts.size() == 1 ? parts[0] : expr(ExprKind::kTuple, at, std::move(parts));
    return expr(ExprKind::kItem, at, {base, index});
  }

  bool slice_part_ends() const { return is_op(":") || is_op("]") || is_op(","); }

  Expr* slice_or_expr(Expr* base, Position at, Expr*& slice) {
    Expr* bounds[3] = {nullptr, nullptr, nullptr};
    if (!is_op(":")) {
      bounds[0] = expression();
      if (!is_op(":")) return bounds[0];
    }
    for (int i = 1; i < 3 && skip_op(":"); ++i) {
      if (!slice_part_ends()) bounds[i] = expression();
    }
    slice = expr(ExprKind::kSlice, at, {base, bounds[0], bounds[1], bounds[2]});
    return slice;
  }

  CallArguments call_arguments() {
    CallArguments out;
    expect_op("(");
    bool first = true;
    while (!is_op(")")) {
      if (!std::exchange(first, false)) expect_op(",");
      if (is_op(")")) break;
      if (skip_op("*")) {
        if (out.spread != nullptr || out.named_spread != nullptr) fail("invalid call arguments");
        out.spread = expression();
      } else if (skip_op("**")) {
        if (out.named_spread != nullptr) fail("invalid call arguments");
        out.named_spread = expression();
      } else if (is_kind(TokenKind::kName) && is(next(), TokenKind::kOperator, "=")) {
        std::string key = take().text;
        take();
        out.named.emplace_back(std::move(key), expression());
      } else {
        if (!out.named.empty() || out.spread != nullptr || out.named_spread != nullptr) {
          fail("a positional argument follows a named one");
        }
        out.positional.push_back(expression());
      }
    }
    expect_op(")");
    return out;
  }

  Expr* call(Expr* function) {
    Expr* node = expr(ExprKind::kCall, now().at, {function});
    node->arguments = call_arguments();
    return node;
  }

  std::string dotted_name() {
    std::string out = expect_identifier();
    while (skip_op(".")) out += "." + expect_identifier();
    return out;
  }

  Expr* filters(Expr* node) {
    while (skip_op("|")) node = one_filter(node);
    return node;
  }

  Expr* filters_from_name() { return filters(one_filter(nullptr)); }

  Expr* one_filter(Expr* input) {
    Expr* node = expr(ExprKind::kFilter, now().at, {input});
    node->name = dotted_name();
    if (is_op("(")) node->arguments = call_arguments();
    return node;
  }

  Expr* test(Expr* input) {
    const Position at = take().at;
    const bool negated = skip_name("not");
    Expr* node = expr(ExprKind::kTest, at, {input});
    node->name = dotted_name();
    if (is_op("(")) {
      node->arguments = call_arguments();
    } else if (starts_argument()) {
      if (is_name("is")) fail("tests can not be chained with 'is'");
      node->arguments.positional.push_back(postfix(primary()));
    }
    return negated ? expr(ExprKind::kNot, at, {node}) : node;
  }

  bool starts_argument() const {
    switch (now().kind) {
      case TokenKind::kName:
        return !is_any_name({"else", "or", "and"});
      case TokenKind::kString:
      case TokenKind::kInteger:
      case TokenKind::kFloat:
        return true;
      case TokenKind::kOperator:
        return is_op("[") || is_op("{");
      default:
        return false;
    }
  }

  const std::vector<Token> tokens_;
  const std::string& name_;
  Ast& ast_;
  size_t at_ = 0;
  int depth_ = 0;
  int loops_ = 0;
  Stmt* macro_ = nullptr;
};

}  // namespace

std::unique_ptr<const Ast> parse(std::string_view source, const std::string& template_name) {
  auto ast = std::make_unique<Ast>();
  Parser(lex(source, template_name), template_name, *ast).run();
  return ast;
}

}  // namespace hearth::tokenizer::jinja
