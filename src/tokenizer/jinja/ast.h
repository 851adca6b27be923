// The parsed template: nodes in one arena, so that a chain of a million operators is built and
// freed without recursion. Immutable after parsing; shared by concurrent renders.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/jinja/runtime.h"
#include "tokenizer/jinja/value.h"

namespace hearth::tokenizer::jinja {

enum class Op : uint8_t {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kFloorDiv,
  kMod,
  kPow,
  kEq,
  kNe,
  kLt,
  kLe,
  kGt,
  kGe,
  kIn,
  kNotIn,
};

enum class ExprKind : uint8_t {
  kConst,   // constant
  kName,    // name
  kList,    // children
  kTuple,   // children
  kDict,    // children: key, value, key, value, ...
  kAttr,    // children[0].name
  kItem,    // children[0][children[1]]
  kSlice,   // children[0][start:stop:step], absent parts null
  kCall,    // children[0](arguments)
  kFilter,  // children[0] | name(arguments); children[0] is null in a filter block
  kTest,    // children[0] is name(arguments)
  kNot,
  kNegate,
  kPlus,
  kAnd,
  kOr,
  kBinary,   // children[0] op children[1]
  kCompare,  // children[0] ops[0] children[1] ops[1] children[2] ...
  kConcat,   // children joined with ~
  kChoice,   // children[1] if children[0] else children[2] (may be null)
};

struct Expr;

struct CallArguments {
  std::vector<Expr*> positional;
  std::vector<std::pair<std::string, Expr*>> named;
  Expr* spread = nullptr;        // *expr
  Expr* named_spread = nullptr;  // **expr
};

struct Expr {
  ExprKind kind = ExprKind::kConst;
  Op op = Op::kAdd;
  Position at;
  std::string name;
  Value constant;
  std::vector<Expr*> children;
  std::vector<Op> ops;
  CallArguments arguments;
};

enum class StmtKind : uint8_t {
  kText,         // text
  kOutput,       // value
  kIf,           // branches: (condition, body); a null condition is the else
  kFor,          // target in value if condition: body, else orelse
  kSet,          // target = value
  kSetBlock,     // target = body, through filter when there is one
  kMacro,        // name, parameters, defaults, body
  kCallBlock,    // value (a call) with body as its caller
  kFilterBlock,  // filter over body
  kWith,         // bindings, body
  kScope,        // body in a scope of its own ({% generation %}, {% block %})
  kBreak,
  kContinue,
};

struct Stmt;
using Body = std::vector<Stmt*>;

struct Stmt {
  StmtKind kind = StmtKind::kText;
  Position at;
  std::string text;  // kText: the text; kMacro: the name
  Expr* target = nullptr;
  Expr* value = nullptr;
  Expr* condition = nullptr;
  Expr* filter = nullptr;
  Body body;
  Body orelse;
  std::vector<std::pair<Expr*, Body>> branches;
  std::vector<std::pair<Expr*, Expr*>> bindings;
  std::vector<std::string> parameters;
  std::vector<Expr*> defaults;  // of the last parameters
  bool recursive = false;
  bool uses_varargs = false;
  bool uses_kwargs = false;
  bool uses_caller = false;
};

struct Ast {
  std::deque<Expr> exprs;
  std::deque<Stmt> stmts;
  std::deque<std::unique_ptr<String>> strings;
  Body body;
};

}  // namespace hearth::tokenizer::jinja
