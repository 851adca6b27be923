#include "tokenizer/jinja/python.h"

#include <algorithm>
#include <cmath>

#include "tokenizer/jinja/text.h"

namespace hearth::tokenizer::jinja {
namespace {

const char* op_text(Op op) {
  switch (op) {
    case Op::kAdd:
      return "+";
    case Op::kSub:
      return "-";
    case Op::kMul:
      return "*";
    case Op::kDiv:
      return "/";
    case Op::kFloorDiv:
      return "//";
    case Op::kMod:
      return "%";
    case Op::kPow:
      return "** or pow()";
    case Op::kLt:
      return "<";
    case Op::kLe:
      return "<=";
    case Op::kGt:
      return ">";
    case Op::kGe:
      return ">=";
    default:
      return "==";
  }
}

[[noreturn]] void fail_operands(Runtime& runtime, Op op, const Value& a, const Value& b) {
  runtime.fail("unsupported operand type(s) for {}: '{}' and '{}'", op_text(op), type_name(a),
               type_name(b));
}

[[noreturn]] void fail_overflow(Runtime& runtime) {
  runtime.fail("the result does not fit a 64-bit integer");
}

bool is_sequence_form(const Value& value) {
  return value.is(Kind::kList) &&
         (value.list().form == Form::kList || value.list().form == Form::kTuple);
}

int64_t floor_div(int64_t a, int64_t b) {
  const int64_t q = a / b;
  return (a % b != 0 && (a < 0) != (b < 0)) ? q - 1 : q;
}

double float_mod(double a, double b) {
  double r = std::fmod(a, b);
  if (r != 0 && (r < 0) != (b < 0)) r += b;
  return r == 0 ? std::copysign(0.0, b) : r;
}

double float_floor_div(double a, double b) {
  const double r = float_mod(a, b);
  return std::round((a - r) / b);
}

Value integer_power(Runtime& runtime, int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) runtime.fail("0.0 cannot be raised to a negative power");
    return Value::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) {
      fail_overflow(runtime);
    }
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) fail_overflow(runtime);
  }
  return Value::integer(result);
}

Value integer_binary(Runtime& runtime, Op op, int64_t a, int64_t b) {
  int64_t out = 0;
  bool overflow = false;
  switch (op) {
    case Op::kAdd:
      overflow = __builtin_add_overflow(a, b, &out);
      break;
    case Op::kSub:
      overflow = __builtin_sub_overflow(a, b, &out);
      break;
    case Op::kMul:
      overflow = __builtin_mul_overflow(a, b, &out);
      break;
    case Op::kPow:
      return integer_power(runtime, a, b);
    default:
      if (b == 0) runtime.fail("division by zero");
      if (op == Op::kDiv) {
        return Value::real(static_cast<double>(a) / static_cast<double>(b));
      }
      overflow = b == -1 && a == INT64_MIN;
      if (!overflow) out = op == Op::kFloorDiv ? floor_div(a, b) : a - b * floor_div(a, b);
  }
  if (overflow) fail_overflow(runtime);
  return Value::integer(out);
}

Value float_binary(Runtime& runtime, Op op, double a, double b) {
  switch (op) {
    case Op::kAdd:
      return Value::real(a + b);
    case Op::kSub:
      return Value::real(a - b);
    case Op::kMul:
      return Value::real(a * b);
    case Op::kPow:
      if (a == 0 && b < 0) runtime.fail("0.0 cannot be raised to a negative power");
      return Value::real(std::pow(a, b));
    default:
      if (b == 0) runtime.fail("float division by zero");
      if (op == Op::kDiv) return Value::real(a / b);
      return Value::real(op == Op::kMod ? float_mod(a, b) : float_floor_div(a, b));
  }
}

Value add_text(Runtime& runtime, const Value& a, const Value& b) {
  const bool markup = a.is_markup() || b.is_markup();
  runtime.will_allocate(a.text().size() + b.text().size());
  if (!markup) return runtime.string(a.text() + b.text());
  const auto part = [](const Value& v) { return v.is_markup() ? v.text() : escape_html(v.text()); };
  return runtime.string(part(a) + part(b), Markup::kSafe);
}

Value add_lists(Runtime& runtime, const List& a, const List& b) {
  runtime.step(static_cast<int64_t>(a.items.size() + b.items.size()));
  std::vector<Value> items = a.items;
  items.insert(items.end(), b.items.begin(), b.items.end());
  return runtime.list(std::move(items), a.form);
}

Value repeat(Runtime& runtime, const Value& value, int64_t count) {
  count = std::max<int64_t>(count, 0);
  if (value.is(Kind::kString)) {
    const std::string& text = value.text();
    runtime.will_allocate(static_cast<uint64_t>(std::min<int64_t>(count, INT32_MAX)) *
                          std::max<uint64_t>(text.size(), 1));
    std::string out;
    for (int64_t i = 0; i < count; ++i) out += text;
    return runtime.string(std::move(out), value.is_markup() ? Markup::kSafe : Markup::kPlain);
  }
  const List& list = value.list();
  runtime.will_allocate(static_cast<uint64_t>(std::min<int64_t>(count, INT32_MAX)) *
                        std::max<uint64_t>(list.items.size() * sizeof(Value), 1));
  std::vector<Value> items;
  for (int64_t i = 0; i < count; ++i) {
    runtime.step(static_cast<int64_t>(list.items.size()));
    items.insert(items.end(), list.items.begin(), list.items.end());
  }
  return runtime.list(std::move(items), list.form);
}

int compare_lists(Runtime& runtime, const List& a, const List& b, Op op) {
  const Nesting nesting(runtime);
  const size_t shared = std::min(a.items.size(), b.items.size());
  for (size_t i = 0; i < shared; ++i) {
    runtime.step();
    if (!equals(runtime, a.items[i], b.items[i])) {
      return compare(runtime, a.items[i], b.items[i], op);
    }
  }
  return a.items.size() < b.items.size() ? -1 : a.items.size() > b.items.size() ? 1 : 0;
}

bool equal_lists(Runtime& runtime, const List& a, const List& b) {
  if (&a == &b) return true;
  if (a.form != b.form || a.items.size() != b.items.size()) return false;
  if (a.form == Form::kGenerator || a.form == Form::kValues) return false;
  const Nesting nesting(runtime);
  for (size_t i = 0; i < a.items.size(); ++i) {
    runtime.step();
    if (!equals(runtime, a.items[i], b.items[i])) return false;
  }
  return true;
}

bool equal_dicts(Runtime& runtime, const Dict& a, const Dict& b) {
  if (&a == &b) return true;
  if (a.entries.size() != b.entries.size()) return false;
  const Nesting nesting(runtime);
  for (const auto& [key, value] : a.entries) {
    runtime.step();
    const Value* other = b.find(runtime, key);
    if (other == nullptr || !equals(runtime, value, *other)) return false;
  }
  return true;
}

template <typename T>
int order(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

}  // namespace

std::string_view type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return value.is_markup() ? "Markup" : "str";
    case Kind::kDict:
      return "dict";
    case Kind::kObject:
      return value.object().type_name();
    case Kind::kList:
      break;
  }
  switch (value.list().form) {
    case Form::kTuple:
      return "tuple";
    case Form::kGroup:
      return "_GroupTuple";
    case Form::kRange:
      return "range";
    case Form::kKeys:
      return "dict_keys";
    case Form::kValues:
      return "dict_values";
    case Form::kItems:
      return "dict_items";
    case Form::kGenerator:
      return "generator";
    case Form::kList:
      break;
  }
  return "list";
}

void fail_undefined(Runtime& runtime, const Value& value) {
  runtime.fail_text(value.reason() != nullptr ? value.reason()->text : "the value is undefined");
}

void require_defined(Runtime& runtime, const Value& value) {
  if (value.is(Kind::kUndefined)) fail_undefined(runtime, value);
}

bool truth(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.integer() != 0;
    case Kind::kFloat:
      return value.number() != 0;
    case Kind::kString:
      return !value.text().empty();
    case Kind::kList:
      return value.list().form == Form::kGenerator || !value.list().items.empty();
    case Kind::kDict:
      return !value.dict().entries.empty();
    case Kind::kObject:
      return true;
  }
  return false;
}

bool equals(Runtime& runtime, const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return a.integer() == b.integer();
    return a.number() == b.number();
  }
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      if (a.text().size() != b.text().size()) return false;
      runtime.scan(a.text().size());
      return a.text() == b.text();
    case Kind::kList:
      return equal_lists(runtime, a.list(), b.list());
    case Kind::kDict:
      return equal_dicts(runtime, a.dict(), b.dict());
    default:
      return a.same(b);
  }
}

int compare(Runtime& runtime, const Value& a, const Value& b, Op op) {
  require_defined(runtime, a);
  require_defined(runtime, b);
  if (a.is_integral() && b.is_integral()) return order(a.integer(), b.integer());
  if (a.is_number() && b.is_number()) return order(a.number(), b.number());
  if (a.is(Kind::kString) && b.is(Kind::kString)) {
    runtime.scan(std::min(a.text().size(), b.text().size()));
    return order(a.text(), b.text());  // UTF-8 sorts as code points do
  }
  if (is_sequence_form(a) && is_sequence_form(b) && a.list().form == b.list().form) {
    return compare_lists(runtime, a.list(), b.list(), op);
  }
  runtime.fail("'{}' not supported between instances of '{}' and '{}'", op_text(op), type_name(a),
               type_name(b));
}

bool compares(Runtime& runtime, Op op, const Value& a, const Value& b) {
  switch (op) {
    case Op::kEq:
      return equals(runtime, a, b);
    case Op::kNe:
      return !equals(runtime, a, b);
    case Op::kIn:
      return contains(runtime, b, a);
    case Op::kNotIn:
      return !contains(runtime, b, a);
    default:
      break;
  }
  if ((a.is(Kind::kFloat) && std::isnan(a.number())) ||
      (b.is(Kind::kFloat) && std::isnan(b.number()))) {
    if (a.is_number() && b.is_number()) return false;
  }
  const int c = compare(runtime, a, b, op);
  return op == Op::kLt ? c < 0 : op == Op::kLe ? c <= 0 : op == Op::kGt ? c > 0 : c >= 0;
}

bool contains(Runtime& runtime, const Value& container, const Value& item) {
  if (container.is(Kind::kString)) {
    if (!item.is(Kind::kString)) {
      if (item.is(Kind::kUndefined)) {
        runtime.fail("'in <string>' requires string as left operand, not Undefined");
      }
      runtime.fail("'in <string>' requires string as left operand, not {}", type_name(item));
    }
    runtime.scan(container.text().size());
    return find_text(container.text(), item.text()) != std::string::npos;
  }
  if (container.is(Kind::kDict)) return container.dict().find(runtime, item) != nullptr;
  if (container.is(Kind::kUndefined)) return false;
  if (!is_iterable(container)) {
    runtime.fail("argument of type '{}' is not iterable", type_name(container));
  }
  for (const Value& candidate : iterate(runtime, container)) {
    if (equals(runtime, candidate, item)) return true;
  }
  return false;
}

size_t hash(Runtime& runtime, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return 1;
    case Kind::kBool:
    case Kind::kInt:
      return std::hash<double>()(static_cast<double>(value.integer()));
    case Kind::kFloat:
      return std::hash<double>()(value.number());
    case Kind::kString:
      runtime.scan(value.text().size());
      return std::hash<std::string_view>()(value.text());
    case Kind::kObject:
      return std::hash<const void*>()(&value.object());
    case Kind::kList:
      if (value.list().form == Form::kTuple) {
        const Nesting nesting(runtime);
        size_t code = 7;
        for (const Value& item : value.list().items) {
          runtime.step();
          code = code * 31 + hash(runtime, item);
        }
        return code;
      }
      break;
    case Kind::kDict:
      break;
  }
  runtime.fail("unhashable type: '{}'", type_name(value));
}

Value binary(Runtime& runtime, Op op, const Value& a, const Value& b) {
  if (op == Op::kMod && a.is(Kind::kString)) {
    const Markup markup = a.is_markup() ? Markup::kSafe : Markup::kPlain;
    return runtime.string(percent_format(runtime, a.text(), b, markup), markup);
  }
  require_defined(runtime, a);
  require_defined(runtime, b);
  if (a.is_integral() && b.is_integral()) {
    return integer_binary(runtime, op, a.integer(), b.integer());
  }
  if (a.is_number() && b.is_number()) return float_binary(runtime, op, a.number(), b.number());
  if (op == Op::kAdd && a.is(Kind::kString)) {
    if (b.is(Kind::kString)) return add_text(runtime, a, b);
    runtime.fail("can only concatenate str (not \"{}\") to str", type_name(b));
  }
  if (op == Op::kAdd && is_sequence_form(a)) {
    if (is_sequence_form(b) && a.list().form == b.list().form) {
      return add_lists(runtime, a.list(), b.list());
    }
    runtime.fail("can only concatenate {} (not \"{}\") to {}", type_name(a), type_name(b),
                 type_name(a));
  }
  if (op == Op::kMul) {
    const auto repeatable = [](const Value& v) {
      return v.is(Kind::kString) || is_sequence_form(v);
    };
    if (repeatable(a) && b.is_integral()) return repeat(runtime, a, b.integer());
    if (repeatable(b) && a.is_integral()) return repeat(runtime, b, a.integer());
  }
  fail_operands(runtime, op, a, b);
}

Value negate(Runtime& runtime, const Value& value) {
  require_defined(runtime, value);
  if (value.is(Kind::kFloat)) return Value::real(-value.number());
  if (!value.is_integral()) {
    runtime.fail("bad operand type for unary -: '{}'", type_name(value));
  }
  if (value.integer() == INT64_MIN) fail_overflow(runtime);
  return Value::integer(-value.integer());
}

Value concatenate(Runtime& runtime, const std::vector<Value>& parts) {
  std::string out;
  for (const Value& part : parts) {
    std::string storage;
    const std::string_view text = str_view(runtime, part, storage);
    runtime.will_allocate(out.size() + text.size());
    out += text;
  }
  return runtime.string(std::move(out));
}

bool has_length(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kDict:
      return true;
    case Kind::kList:
      return value.list().form != Form::kGenerator;
    default:
      return false;
  }
}

int64_t length(Runtime& runtime, const Value& value) {
  if (!has_length(value)) runtime.fail("object of type '{}' has no len()", type_name(value));
  switch (value.kind()) {
    case Kind::kString:
      runtime.scan(value.text().size());
      return static_cast<int64_t>(length_utf8(value.text()));
    case Kind::kList:
      return static_cast<int64_t>(value.list().items.size());
    case Kind::kDict:
      return static_cast<int64_t>(value.dict().entries.size());
    default:
      return 0;
  }
}

bool is_iterable(const Value& value) { return has_length(value) || value.is(Kind::kList); }

std::vector<Value> iterate(Runtime& runtime, const Value& value) {
  std::vector<Value> items;
  switch (value.kind()) {
    case Kind::kUndefined:
      return items;
    case Kind::kString:
      runtime.step(static_cast<int64_t>(value.text().size()));
      for (std::string_view rest = value.text(); !rest.empty();) {
        const size_t bytes = offset_utf8(rest, 1);
        items.push_back(runtime.string(std::string(rest.substr(0, bytes))));
        rest.remove_prefix(bytes);
      }
      return items;
    case Kind::kDict:
      for (const auto& entry : value.dict().entries) items.push_back(entry.first);
      break;
    case Kind::kList: {
      List& list = value.list();
      if (list.form != Form::kGenerator) {
        items = list.items;
        break;
      }
      items.assign(list.items.begin() + static_cast<ptrdiff_t>(list.consumed), list.items.end());
      list.consumed = list.items.size();
      break;
    }
    default:
      runtime.fail("'{}' object is not iterable", type_name(value));
  }
  runtime.step(static_cast<int64_t>(items.size()));
  return items;
}

Value call(Runtime& runtime, const Value& function, Arguments& arguments) {
  require_defined(runtime, function);
  if (!function.is(Kind::kObject)) {
    runtime.fail("'{}' object is not callable", type_name(function));
  }
  const Nesting nesting(runtime);
  return function.object().call(runtime, arguments);
}

}  // namespace hearth::tokenizer::jinja
