// Expressions of templates, by precedence: from x if c else y down to names, calls and filters.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "tokenizer/jinja/nodes.h"
#include "tokenizer/jinja/token_cursor.h"

namespace hearth::tokenizer::jinja {

class ExpressionParser {
 public:
  enum class Targets { kMany, kManyOrAttribute };
  enum class Conditions { kNo, kYes };  // whether x if c else y may come

  // Both outlive this.
  ExpressionParser(TokenCursor& in, Nodes& make) : in_(in), make_(make) {}

  Expr* expression(Conditions conditions = Conditions::kYes);
  // Ends, without a bracket, at the names of `extra` too.
  Expr* tuple_or_expr(Conditions conditions = Conditions::kYes, TokenCursor::Names extra = {});
  // What may stand left of an assignment.
  Expr* assign_target(Targets targets);
  // | name | name(...) after a value; without the first bar, for a value that comes later.
  Expr* filters(Expr* node);
  Expr* filters_from_name();

  // The macro whose body is read from now on, or null; gives the one before.
  Stmt* enter_macro(Stmt* macro) { return std::exchange(macro_, macro); }

 private:
  enum class Filters { kNo, kYes };

  Expr* one_target();
  bool tuple_ends(TokenCursor::Names extra) const;
  Expr* choice();
  Expr* disjunction();
  Expr* conjunction();
  Expr* negation();
  std::optional<Op> comparison_operator();
  Expr* comparison();
  Expr* binary(Op op, Expr* left, Expr* right, Position at);
  Expr* sum();
  Expr* concatenation();
  Expr* product();
  Expr* power();
  Expr* unary(Filters with_filters);
  Expr* primary();
  Expr* name(const Token& token);
  Expr* number(const Token& token);
  Expr* parenthesized();
  Expr* list_literal();
  Expr* dict_literal();
  Expr* postfix(Expr* node);
  Expr* filters_and_tests(Expr* node);
  Expr* attribute(Expr* base);
  Expr* subscript(Expr* base);
  bool slice_part_ends() const;
  Expr* slice_or_expr(Expr* base, Position at, Expr*& slice);
  CallArguments call_arguments();
  Expr* call(Expr* function);
  std::string dotted_name();
  Expr* one_filter(Expr* input);
  Expr* test(Expr* input);
  bool starts_argument() const;

  TokenCursor& in_;
  Nodes& make_;
  Stmt* macro_ = nullptr;
};

}  // namespace hearth::tokenizer::jinja
