#include "tokenizer/jinja/interpreter.h"

#include <optional>

#include "tokenizer/jinja/builtins.h"
#include "tokenizer/jinja/python.h"

namespace hearth::tokenizer::jinja {
namespace {

// Names set in one block. Reading walks up; writing stays here. Names live in the tree.
struct Scope final : Cell {
  explicit Scope(Scope* outer) : parent(outer) {}
  Scope* parent;
  bool captured = false;  // a macro may read it later, so it can not be reused
  std::vector<std::pair<std::string_view, Value>> names;

  const Value* find(std::string_view name) const {
    for (const auto& [key, value] : names) {
      if (key == name) return &value;
    }
    return nullptr;
  }
  void set(std::string_view name, const Value& value) {
    for (auto& [key, old] : names) {
      if (key == name) {
        old = value;
        return;
      }
    }
    names.emplace_back(name, value);
  }
};

enum class Flow { kNext, kBreak, kContinue };

class Interpreter {
 public:
  Interpreter(Runtime& runtime, const Dict& variables)
      : runtime_(runtime), variables_(variables), scope_(runtime.make<Scope>(nullptr)) {}

  std::string run(const Body& body) {
    execute(body);
    return std::move(out_);
  }

  Runtime& runtime() { return runtime_; }
  Value eval(const Expr& e);
  Value loop_over(const Stmt& stmt, const Value& iterable, int64_t depth, Scope* outer);
  Value call_macro(const Stmt& stmt, Scope* closure, Arguments& arguments);
  bool passes(const Stmt& loop, const Value& item, Scope* outer);

 private:
  // The scope of a block, left again at its end even when it throws.
  class Enter {
   public:
    Enter(Interpreter& in, Scope* scope) : in_(in), before_(std::exchange(in.scope_, scope)) {}
    ~Enter() { in_.scope_ = before_; }
    Enter(const Enter&) = delete;
    Enter& operator=(const Enter&) = delete;

   private:
    Interpreter& in_;
    Scope* const before_;
  };

  Scope* inner_scope(Scope* outer) { return runtime_.make<Scope>(outer); }

  void capture_scopes() {
    for (Scope* s = scope_; s != nullptr && !s->captured; s = s->parent) s->captured = true;
  }

  Flow execute(const Body& body);
  Flow execute(const Stmt& stmt);
  Flow execute_if(const Stmt& stmt);
  void execute_for(const Stmt& stmt, const Value& iterable, int64_t depth);
  void execute_with(const Stmt& stmt);
  void execute_call_block(const Stmt& stmt);
  std::string capture(const Body& body, Scope* scope);
  void write(std::string_view text);
  void output(const Value& value);
  void assign(const Expr& target, const Value& value);
  void define_macro(const Stmt& stmt);

  Value lookup(const Expr& e);
  Value filter(const Expr& e, const Value& input);
  Value filter_chain(const Expr& e, const Value& input);
  Value compare_chain(const Expr& e);
  Value dict_literal(const Expr& e);
  Value choice(const Expr& e);
  Value slice_of(const Expr& e);
  std::vector<Value> eval_all(const std::vector<Expr*>& exprs);
  Arguments eval_arguments(const CallArguments& from, std::vector<Value> first);
  Value eval_or_none(const Expr* e) { return e == nullptr ? Value::none() : eval(*e); }

  Runtime& runtime_;
  const Dict& variables_;
  Scope* scope_;
  std::string out_;
};

class Macro final : public Object {
 public:
  Macro(Interpreter& in, const Stmt& stmt, Scope* closure)
      : in_(in), stmt_(stmt), closure_(closure) {}
  std::string_view type_name() const override { return "Macro"; }
  bool get(Runtime& runtime, std::string_view name, Value& out) override {
    if (name != "name") return false;
    out = runtime.string(stmt_.text);
    return true;
  }
  Value call(Runtime&, Arguments& arguments) override {
    return in_.call_macro(stmt_, closure_, arguments);
  }

 private:
  Interpreter& in_;
  const Stmt& stmt_;
  Scope* const closure_;
};

// The `loop` of a for block. Items are filtered as they are reached, since a condition may depend
// on what the body did; looking ahead filters ahead.
class Loop final : public Object {
 public:
  Loop(Interpreter& in, const Stmt& stmt, std::vector<Value> items, int64_t depth, Scope* outer)
      : in_(in), stmt_(stmt), items_(std::move(items)), depth_(depth), outer_(outer) {}
  std::string_view type_name() const override { return "LoopContext"; }
  bool callable() const override { return stmt_.recursive; }

  bool next(Value& item) {
    if (index_ >= 0) before_ = current_;
    if (!peek()) return false;
    current_ = *after_;
    after_.reset();
    ++index_;
    item = *current_;
    return true;
  }

  bool get(Runtime& runtime, std::string_view name, Value& out) override {
    const auto integer = [&](int64_t i) { out = Value::integer(i); };
    if (name == "index")
      integer(index_ + 1);
    else if (name == "index0")
      integer(index_);
    else if (name == "first")
      out = Value::boolean(index_ == 0);
    else if (name == "last")
      out = Value::boolean(!peek());
    else if (name == "length")
      integer(length());
    else if (name == "revindex")
      integer(length() - index_);
    else if (name == "revindex0")
      integer(length() - index_ - 1);
    else if (name == "depth")
      integer(depth_ + 1);
    else if (name == "depth0")
      integer(depth_);
    else if (name == "previtem")
      out = before_ ? *before_ : runtime.undefined("there is no previous item");
    else if (name == "nextitem")
      out = peek() ? *after_ : runtime.undefined("there is no next item");
    else if (name == "cycle")
      out = make_method(runtime, cycle, Value(this));
    else if (name == "changed")
      out = make_method(runtime, changed, Value(this));
    else
      return false;
    return true;
  }

  Value call(Runtime& runtime, Arguments& arguments) override {
    if (!stmt_.recursive) {
      runtime.fail("The loop must have the 'recursive' marker to be called recursively.");
    }
    const Bound b(runtime, arguments, "loop", {"iterable"}, 1);
    return in_.loop_over(stmt_, b[0], depth_ + 1, outer_);
  }

 private:
  bool pull(Value& item) {
    while (at_ < items_.size()) {
      item = items_[at_++];
      if (stmt_.condition == nullptr || checked_ || in_.passes(stmt_, item, outer_)) return true;
    }
    return false;
  }

  bool peek() {
    Value item;
    if (!after_ && pull(item)) after_ = item;
    return after_.has_value();
  }

  int64_t length() {
    if (!length_) {
      std::vector<Value> rest;
      for (Value item; pull(item);) rest.push_back(item);
      length_ = static_cast<int64_t>(rest.size()) + index_ + 1 + (after_ ? 1 : 0);
      items_ = std::move(rest);
      at_ = 0;
      checked_ = true;  // what was filtered ahead is not filtered again
    }
    return *length_;
  }

  static Loop& self(const Arguments& a) { return static_cast<Loop&>(a.positional[0].object()); }

  static Value cycle(Runtime& runtime, Arguments& a) {
    if (a.positional.size() < 2) runtime.fail("no items for cycling given");
    const auto i = static_cast<size_t>(self(a).index_) % (a.positional.size() - 1);
    return a.positional[i + 1];
  }

  static Value changed(Runtime& runtime, Arguments& a) {
    Loop& loop = self(a);
    const Value now = runtime.list({a.positional.begin() + 1, a.positional.end()}, Form::kTuple);
    const bool same = loop.changed_ && equals(runtime, *loop.changed_, now);
    loop.changed_ = now;
    return Value::boolean(!same);
  }

  Interpreter& in_;
  const Stmt& stmt_;
  std::vector<Value> items_;
  bool checked_ = false;
  size_t at_ = 0;
  int64_t index_ = -1;
  const int64_t depth_;
  Scope* const outer_;
  std::optional<Value> before_, current_, after_, changed_;
  std::optional<int64_t> length_;
};

// ---- statements

Flow Interpreter::execute(const Body& body) {
  for (const Stmt* stmt : body) {
    const Flow flow = execute(*stmt);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Flow Interpreter::execute(const Stmt& stmt) {
  const Nesting nesting(runtime_);
  runtime_.step();
  runtime_.at(stmt.at);
  switch (stmt.kind) {
    case StmtKind::kText:
      write(stmt.text);
      return Flow::kNext;
    case StmtKind::kOutput:
      output(eval(*stmt.value));
      return Flow::kNext;
    case StmtKind::kIf:
      return execute_if(stmt);
    case StmtKind::kFor:
      execute_for(stmt, eval(*stmt.value), 0);
      return Flow::kNext;
    case StmtKind::kSet:
      assign(*stmt.target, eval(*stmt.value));
      return Flow::kNext;
    case StmtKind::kSetBlock: {
      const Value text = runtime_.string(capture(stmt.body, inner_scope(scope_)));
      assign(*stmt.target, stmt.filter == nullptr ? text : filter_chain(*stmt.filter, text));
      return Flow::kNext;
    }
    case StmtKind::kMacro:
      define_macro(stmt);
      return Flow::kNext;
    case StmtKind::kCallBlock:
      execute_call_block(stmt);
      return Flow::kNext;
    case StmtKind::kFilterBlock: {
      const Value text = runtime_.string(capture(stmt.body, inner_scope(scope_)));
      output(filter_chain(*stmt.filter, text));
      return Flow::kNext;
    }
    case StmtKind::kWith:
      execute_with(stmt);
      return Flow::kNext;
    case StmtKind::kScope: {
      const Enter enter(*this, inner_scope(scope_));
      return execute(stmt.body);
    }
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

void Interpreter::write(std::string_view text) {
  runtime_.scan(text.size());
  runtime_.output_grew_to(out_.size() + text.size());
  out_ += text;
}

void Interpreter::output(const Value& value) {
  std::string storage;
  write(str_view(runtime_, value, storage));
}

Flow Interpreter::execute_if(const Stmt& stmt) {
  for (const auto& [condition, body] : stmt.branches) {
    if (condition == nullptr || truth(eval(*condition))) return execute(body);
  }
  return Flow::kNext;
}

void Interpreter::execute_for(const Stmt& stmt, const Value& iterable, int64_t depth) {
  Scope* const outer = scope_;
  Loop* loop = runtime_.make<Loop>(*this, stmt, iterate(runtime_, iterable), depth, outer);
  Scope* inner = inner_scope(outer);
  bool any = false;
  for (Value item; loop->next(item);) {
    any = true;
    runtime_.step();
    if (inner->captured) inner = inner_scope(outer);
    inner->names.clear();
    const Enter enter(*this, inner);
    inner->set("loop", Value(loop));
    assign(*stmt.target, item);
    if (execute(stmt.body) == Flow::kBreak) break;
  }
  if (any) return;
  const Enter enter(*this, inner_scope(outer));
  execute(stmt.orelse);
}

Value Interpreter::loop_over(const Stmt& stmt, const Value& iterable, int64_t depth, Scope* outer) {
  const Enter enter(*this, outer);
  std::string before = std::exchange(out_, {});
  execute_for(stmt, iterable, depth);
  return runtime_.string(std::exchange(out_, std::move(before)));
}

bool Interpreter::passes(const Stmt& loop, const Value& item, Scope* outer) {
  runtime_.step();
  const Enter enter(*this, inner_scope(outer));
  assign(*loop.target, item);
  return truth(eval(*loop.condition));
}

void Interpreter::execute_with(const Stmt& stmt) {
  // Every value is computed outside, before any name of the block exists.
  std::vector<Value> values;
  for (const auto& binding : stmt.bindings) values.push_back(eval(*binding.second));
  const Enter enter(*this, inner_scope(scope_));
  for (size_t i = 0; i < values.size(); ++i) assign(*stmt.bindings[i].first, values[i]);
  execute(stmt.body);
}

std::string Interpreter::capture(const Body& body, Scope* scope) {
  const Enter enter(*this, scope);
  std::string before = std::exchange(out_, {});
  execute(body);
  return std::exchange(out_, std::move(before));
}

void Interpreter::define_macro(const Stmt& stmt) {
  capture_scopes();
  scope_->set(stmt.text, Value(runtime_.make<Macro>(*this, stmt, scope_)));
}

void Interpreter::execute_call_block(const Stmt& stmt) {
  capture_scopes();
  const Value caller(runtime_.make<Macro>(*this, stmt, scope_));
  const Value function = eval(*stmt.value->children[0]);
  Arguments arguments = eval_arguments(stmt.value->arguments, {});
  arguments.named.emplace_back("caller", caller);
  output(call(runtime_, function, arguments));
}

Value Interpreter::call_macro(const Stmt& stmt, Scope* closure, Arguments& arguments) {
  const Nesting nesting(runtime_);
  Scope* scope = inner_scope(closure);
  const size_t count = stmt.parameters.size();
  std::vector<std::optional<Value>> values(count);
  List* varargs = runtime_.list(Form::kTuple);
  Dict* kwargs = runtime_.dict();
  for (size_t i = 0; i < arguments.positional.size(); ++i) {
    if (i < count)
      values[i] = arguments.positional[i];
    else
      runtime_.append(*varargs, arguments.positional[i]);
  }
  Value caller = runtime_.undefined("No caller defined");
  for (const auto& [name, value] : arguments.named) {
    size_t i = 0;
    while (i < count && stmt.parameters[i] != name) ++i;
    if (i < count && values[i]) {
      runtime_.fail("macro '{}' got multiple values for argument '{}'", stmt.text, name);
    }
    if (i < count)
      values[i] = value;
    else if (name == "caller" && stmt.uses_caller)
      caller = value;
    else
      kwargs->put(runtime_, runtime_.string(std::string(name)), value);
  }
  if (!stmt.uses_varargs && !varargs->items.empty()) {
    runtime_.fail("macro '{}' takes not more than {} argument(s)", stmt.text, count);
  }
  if (!stmt.uses_kwargs && !kwargs->entries.empty()) {
    runtime_.fail("macro '{}' takes no keyword argument '{}'", stmt.text,
                  kwargs->entries[0].first.text());
  }
  const Enter enter(*this, scope);
  const size_t required = count - stmt.defaults.size();
  for (size_t i = 0; i < count; ++i) {
    if (!values[i] && i >= required) values[i] = eval(*stmt.defaults[i - required]);
    scope->set(stmt.parameters[i],
               values[i] ? *values[i]
                         : runtime_.undefined(
                               fmt::format("parameter '{}' was not provided", stmt.parameters[i])));
  }
  if (stmt.uses_caller) scope->set("caller", caller);
  if (stmt.uses_varargs) scope->set("varargs", Value(varargs));
  if (stmt.uses_kwargs) scope->set("kwargs", Value(kwargs));
  return runtime_.string(capture(stmt.body, scope));
}

void Interpreter::assign(const Expr& target, const Value& value) {
  if (target.kind == ExprKind::kName) {
    scope_->set(target.name, value);
    return;
  }
  if (target.kind == ExprKind::kAttr) {
    const Value base = lookup(*target.children[0]);
    if (!base.is(Kind::kObject) || !base.object().set(runtime_, target.name, value)) {
      runtime_.fail("cannot assign attribute on non-namespace object");
    }
    return;
  }
  const std::vector<Value> parts = iterate(runtime_, value);
  const size_t wanted = target.children.size();
  if (parts.size() < wanted) {
    runtime_.fail("not enough values to unpack (expected {}, got {})", wanted, parts.size());
  }
  if (parts.size() > wanted) runtime_.fail("too many values to unpack (expected {})", wanted);
  for (size_t i = 0; i < wanted; ++i) assign(*target.children[i], parts[i]);
}

// ---- expressions

Value Interpreter::lookup(const Expr& e) {
  for (const Scope* s = scope_; s != nullptr; s = s->parent) {
    if (const Value* found = s->find(e.name)) return *found;
  }
  if (const Value* found = variables_.find(e.name)) return *found;
  Value global;
  if (find_global(runtime_, e.name, global)) return global;
  return runtime_.undefined(fmt::format("'{}' is undefined", e.name));
}

std::vector<Value> Interpreter::eval_all(const std::vector<Expr*>& exprs) {
  std::vector<Value> values;
  values.reserve(exprs.size());
  for (const Expr* e : exprs) values.push_back(eval(*e));
  return values;
}

Arguments Interpreter::eval_arguments(const CallArguments& from, std::vector<Value> first) {
  Arguments out{std::move(first), {}};
  for (const Expr* e : from.positional) out.positional.push_back(eval(*e));
  for (const auto& [name, e] : from.named) out.named.emplace_back(name, eval(*e));
  if (from.spread != nullptr) {
    for (const Value& value : iterate(runtime_, eval(*from.spread))) {
      out.positional.push_back(value);
    }
  }
  if (from.named_spread != nullptr) {
    const Value named = eval(*from.named_spread);
    if (!named.is(Kind::kDict)) runtime_.fail("the argument after ** must be a mapping");
    for (const auto& [key, value] : named.dict().entries) {
      if (!key.is(Kind::kString)) runtime_.fail("keywords must be strings");
      out.named.emplace_back(key.text(), value);
    }
  }
  return out;
}

Value Interpreter::filter(const Expr& e, const Value& input) {
  Arguments arguments = eval_arguments(e.arguments, {input});
  runtime_.at(e.at);
  return apply_filter(runtime_, e.name, arguments);
}

// In a filter block the chain's innermost filter has no input of its own.
Value Interpreter::filter_chain(const Expr& e, const Value& input) {
  const Nesting nesting(runtime_);
  const Expr* inner = e.children[0];
  return filter(e, inner == nullptr ? input : filter_chain(*inner, input));
}

Value Interpreter::compare_chain(const Expr& e) {
  Value left = eval(*e.children[0]);
  for (size_t i = 0; i < e.ops.size(); ++i) {
    const Value right = eval(*e.children[i + 1]);
    if (!compares(runtime_, e.ops[i], left, right)) return Value::boolean(false);
    left = right;
  }
  return Value::boolean(true);
}

Value Interpreter::dict_literal(const Expr& e) {
  Dict* out = runtime_.dict();
  for (size_t i = 0; i + 1 < e.children.size(); i += 2) {
    const Value key = eval(*e.children[i]);
    out->put(runtime_, key, eval(*e.children[i + 1]));
  }
  return Value(out);
}

Value Interpreter::choice(const Expr& e) {
  if (truth(eval(*e.children[0]))) return eval(*e.children[1]);
  if (e.children[2] != nullptr) return eval(*e.children[2]);
  return runtime_.undefined(fmt::format(
      "the inline if-expression on line {} evaluated to false and no else section was defined.",
      e.at.line));
}

Value Interpreter::slice_of(const Expr& e) {
  const Value base = eval(*e.children[0]);
  const Value start = eval_or_none(e.children[1]);
  const Value stop = eval_or_none(e.children[2]);
  return slice(runtime_, base, start, stop, eval_or_none(e.children[3]));
}

Value Interpreter::eval(const Expr& e) {
  const Nesting nesting(runtime_);
  runtime_.step();
  switch (e.kind) {
    case ExprKind::kConst:
      return e.constant;
    case ExprKind::kName:
      return lookup(e);
    case ExprKind::kList:
      return runtime_.list(eval_all(e.children));
    case ExprKind::kTuple:
      return runtime_.list(eval_all(e.children), Form::kTuple);
    case ExprKind::kDict:
      return dict_literal(e);
    case ExprKind::kAttr: {
      const Value base = eval(*e.children[0]);
      runtime_.at(e.at);
      return attribute(runtime_, base, e.name);
    }
    case ExprKind::kItem: {
      const Value base = eval(*e.children[0]);
      const Value key = eval(*e.children[1]);
      runtime_.at(e.at);
      return item(runtime_, base, key);
    }
    case ExprKind::kSlice:
      return slice_of(e);
    case ExprKind::kCall: {
      const Value function = eval(*e.children[0]);
      Arguments arguments = eval_arguments(e.arguments, {});
      runtime_.at(e.at);
      return call(runtime_, function, arguments);
    }
    case ExprKind::kFilter:
      return filter(e, eval(*e.children[0]));
    case ExprKind::kTest: {
      Arguments arguments = eval_arguments(e.arguments, {eval(*e.children[0])});
      runtime_.at(e.at);
      return Value::boolean(apply_test(runtime_, e.name, arguments));
    }
    case ExprKind::kNot:
      return Value::boolean(!truth(eval(*e.children[0])));
    case ExprKind::kNegate:
      return negate(runtime_, eval(*e.children[0]));
    case ExprKind::kPlus:
      return negate(runtime_, negate(runtime_, eval(*e.children[0])));
    case ExprKind::kAnd: {
      const Value left = eval(*e.children[0]);
      return truth(left) ? eval(*e.children[1]) : left;
    }
    case ExprKind::kOr: {
      const Value left = eval(*e.children[0]);
      return truth(left) ? left : eval(*e.children[1]);
    }
    case ExprKind::kBinary: {
      const Value left = eval(*e.children[0]);
      const Value right = eval(*e.children[1]);
      runtime_.at(e.at);
      return binary(runtime_, e.op, left, right);
    }
    case ExprKind::kCompare:
      return compare_chain(e);
    case ExprKind::kConcat:
      return concatenate(runtime_, eval_all(e.children));
    case ExprKind::kChoice:
      return choice(e);
  }
  return Value();
}

}  // namespace

std::string render(Runtime& runtime, const Ast& ast, const Dict& variables) {
  return Interpreter(runtime, variables).run(ast.body);
}

}  // namespace hearth::tokenizer::jinja
