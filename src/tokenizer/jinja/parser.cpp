#include "tokenizer/jinja/parser.h"

#include <utility>

#include "base/error.h"
#include "tokenizer/jinja/expression_parser.h"
#include "tokenizer/jinja/nodes.h"
#include "tokenizer/jinja/token_cursor.h"

namespace hearth::tokenizer::jinja {
namespace {

// Statements: text, outputs and tags.
class Parser {
 public:
  Parser(std::vector<Token> tokens, const std::string& name, Ast& ast)
      : in_(std::move(tokens), name), ast_(ast), make_(ast), expressions_(in_, make_) {}

  void run() {
    ast_.body = body({});
    if (!in_.is_kind(TokenKind::kEnd)) in_.fail("unexpected tag");
  }

 private:
  // Statements up to a tag whose name is one of `ends` (left to be read), or the end.
  Body body(TokenCursor::Names ends) {
    const TokenCursor::Level level(in_);
    Body out;
    for (;;) {
      const Position at = in_.now().at;
      switch (in_.now().kind) {
        case TokenKind::kText: {
          Stmt* node = make_.stmt(StmtKind::kText, at);
          node->text = in_.take().text;
          out.push_back(node);
          break;
        }
        case TokenKind::kOutputBegin: {
          in_.take();
          Stmt* node = make_.stmt(StmtKind::kOutput, at);
          node->value = expressions_.tuple_or_expr();
          if (!in_.is_kind(TokenKind::kOutputEnd)) {
            in_.fail(fmt::format("expected '}}}}', found {}", in_.describe()));
          }
          in_.take();
          out.push_back(node);
          break;
        }
        case TokenKind::kBlockBegin:
          if (!block(ends, out)) return out;
          break;
        default:
          if (ends.size() != 0) {
            in_.fail(fmt::format("the template ends before {{% {} %}}", *(ends.end() - 1)));
          }
          return out;
      }
    }
  }

  // One {% tag %}; false when it is one of `ends`, whose name is then the current token.
  bool block(TokenCursor::Names ends, Body& out) {
    in_.take();
    if (in_.is_any_name(ends)) return false;
    out.push_back(statement());
    return true;
  }

  Stmt* statement() {
    const Position at = in_.now().at;
    const std::string tag = in_.expect_identifier();
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
    in_.fail_at(at, fmt::format("unknown tag '{}'", tag));
  }

  Stmt* loop_control(const std::string& tag, Position at) {
    if (loops_ == 0) in_.fail_at(at, fmt::format("'{}' outside a loop", tag));
    in_.expect_block_end();
    return make_.stmt(tag == "break" ? StmtKind::kBreak : StmtKind::kContinue, at);
  }

  Stmt* print_statement(Position at) {
    Stmt* node = make_.stmt(StmtKind::kOutput, at);
    node->value = make_.expr(ExprKind::kConcat, at);
    while (!in_.is_kind(TokenKind::kBlockEnd)) {
      if (!node->value->children.empty()) in_.expect_op(",");
      node->value->children.push_back(expressions_.expression());
    }
    in_.expect_block_end();
    return node;
  }

  Stmt* scope_statement(const std::string& tag, Position at) {
    Stmt* node = make_.stmt(StmtKind::kScope, at);
    if (tag == "block") in_.expect_identifier();
    in_.expect_block_end();
    const int outer_loops = std::exchange(loops_, 0);
    if (tag == "block") {
      node->body = body({"endblock"});
      in_.take();
      if (in_.is_kind(TokenKind::kName)) in_.take();
    } else {
      node->body = body({"endgeneration"});
      in_.take();
    }
    loops_ = outer_loops;
    in_.expect_block_end();
    return node;
  }

  Stmt* for_statement(Position at) {
    Stmt* node = make_.stmt(StmtKind::kFor, at);
    node->target = expressions_.assign_target(ExpressionParser::Targets::kMany);
    in_.expect_name("in");
    node->value = expressions_.tuple_or_expr(ExpressionParser::Conditions::kNo, {"recursive"});
    if (in_.skip_name("if")) node->condition = expressions_.expression();
    node->recursive = in_.skip_name("recursive");
    in_.expect_block_end();
    ++loops_;
    node->body = body({"endfor", "else"});
    --loops_;
    if (in_.skip_name("else")) {
      in_.expect_block_end();
      node->orelse = body({"endfor"});
    }
    in_.expect_name("endfor");
    in_.expect_block_end();
    return node;
  }

  Stmt* if_statement(Position at) {
    Stmt* node = make_.stmt(StmtKind::kIf, at);
    Expr* condition = expressions_.tuple_or_expr(ExpressionParser::Conditions::kNo);
    for (;;) {
      in_.expect_block_end();
      node->branches.emplace_back(condition, body({"elif", "else", "endif"}));
      if (in_.skip_name("elif")) {
        condition = expressions_.tuple_or_expr(ExpressionParser::Conditions::kNo);
        continue;
      }
      if (in_.skip_name("else")) {
        in_.expect_block_end();
        node->branches.emplace_back(nullptr, body({"endif"}));
      }
      in_.expect_name("endif");
      in_.expect_block_end();
      return node;
    }
  }

  Stmt* set_statement(Position at) {
    Stmt* node = make_.stmt(StmtKind::kSet, at);
    node->target = expressions_.assign_target(ExpressionParser::Targets::kManyOrAttribute);
    if (in_.skip_op("=")) {
      node->value = expressions_.tuple_or_expr();
      in_.expect_block_end();
      return node;
    }
    node->kind = StmtKind::kSetBlock;
    if (in_.is_op("|")) node->filter = expressions_.filters(nullptr);
    in_.expect_block_end();
    const int outer_loops = std::exchange(loops_, 0);
    node->body = body({"endset"});
    loops_ = outer_loops;
    in_.take();
    in_.expect_block_end();
    return node;
  }

  void signature(Stmt* node) {
    in_.expect_op("(");
    while (!in_.is_op(")")) {
      if (!node->parameters.empty()) in_.expect_op(",");
      node->parameters.push_back(in_.expect_identifier());
      if (in_.skip_op("=")) {
        node->defaults.push_back(expressions_.expression());
      } else if (!node->defaults.empty()) {
        in_.fail("a parameter without a default follows one that has a default");
      }
    }
    in_.expect_op(")");
  }

  void callable_body(Stmt* node, std::string_view end) {
    Stmt* outer = expressions_.enter_macro(node);
    const int outer_loops = std::exchange(loops_, 0);
    node->body = body({end});
    in_.take();
    loops_ = outer_loops;
    expressions_.enter_macro(outer);
    const auto takes = [&](std::string_view name) {
      return std::find(node->parameters.begin(), node->parameters.end(), name) !=
             node->parameters.end();
    };
    node->uses_varargs = node->uses_varargs && !takes("varargs");
    node->uses_kwargs = node->uses_kwargs && !takes("kwargs");
    node->uses_caller = node->uses_caller && !takes("caller");
    in_.expect_block_end();
  }

  Stmt* macro_statement(Position at) {
    Stmt* node = make_.stmt(StmtKind::kMacro, at);
    node->text = in_.expect_identifier();
    signature(node);
    in_.expect_block_end();
    callable_body(node, "endmacro");
    return node;
  }

  Stmt* call_statement(Position at) {
    Stmt* node = make_.stmt(StmtKind::kCallBlock, at);
    node->text = "caller";
    if (in_.is_op("(")) signature(node);
    node->value = expressions_.expression();
    if (node->value->kind != ExprKind::kCall) in_.fail("expected a call after {% call");
    in_.expect_block_end();
    callable_body(node, "endcall");
    return node;
  }

  Stmt* filter_statement(Position at) {
    Stmt* node = make_.stmt(StmtKind::kFilterBlock, at);
    node->filter = expressions_.filters_from_name();
    in_.expect_block_end();
    const int outer_loops = std::exchange(loops_, 0);
    node->body = body({"endfilter"});
    loops_ = outer_loops;
    in_.take();
    in_.expect_block_end();
    return node;
  }

  Stmt* with_statement(Position at) {
    Stmt* node = make_.stmt(StmtKind::kWith, at);
    while (!in_.is_kind(TokenKind::kBlockEnd)) {
      if (!node->bindings.empty()) in_.expect_op(",");
      Expr* target = expressions_.assign_target(ExpressionParser::Targets::kMany);
      in_.expect_op("=");
      node->bindings.emplace_back(target, expressions_.expression());
    }
    in_.expect_block_end();
    node->body = body({"endwith"});
    in_.take();
    in_.expect_block_end();
    return node;
  }

  TokenCursor in_;
  Ast& ast_;
  Nodes make_;
  ExpressionParser expressions_;
  int loops_ = 0;
};

}  // namespace

std::unique_ptr<const Ast> parse(std::string_view source, const std::string& template_name) {
  auto ast = std::make_unique<Ast>();
  Parser(lex(source, template_name), template_name, *ast).run();
  return ast;
}

}  // namespace hearth::tokenizer::jinja
