// Makes the nodes of a template's tree, which owns them.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/jinja/ast.h"

namespace hearth::tokenizer::jinja {

class Nodes {
 public:
  explicit Nodes(Ast& ast) : ast_(ast) {}

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

 private:
  Ast& ast_;
};

}  // namespace hearth::tokenizer::jinja
