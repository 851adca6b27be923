// The tests of `is`, and of select and reject.
#include <algorithm>
#include <cmath>

#include "tokenizer/jinja/builtins.h"
#include "tokenizer/jinja/python.h"
#include "tokenizer/jinja/text.h"

namespace hearth::tokenizer::jinja {
namespace {

template <bool (*kTest)(const Value&)>
Value one_value(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "test", {"value"}, 1);
  return Value::boolean(kTest(b[0]));
}

template <Op kOp>
Value comparing(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "test", {"value", "other"}, 2);
  return Value::boolean(compares(runtime, kOp, b[0], b[1]));
}

bool is_sequence(const Value& v) {
  if (v.is(Kind::kList)) {
    const Form form = v.list().form;
    return form == Form::kList || form == Form::kTuple || form == Form::kRange ||
           form == Form::kGroup;
  }
  return v.is(Kind::kString) || v.is(Kind::kDict) || v.is(Kind::kUndefined);
}

bool is_callable(const Value& v) { return v.is(Kind::kObject) && v.object().callable(); }

Value test_remainder(Runtime& runtime, const Value& value, const Value& by, int64_t wanted) {
  const Value rest = binary(runtime, Op::kMod, value, by);
  return Value::boolean(equals(runtime, rest, Value::integer(wanted)));
}

Value test_odd(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "odd", {"value"}, 1);
  return test_remainder(runtime, b[0], Value::integer(2), 1);
}

Value test_even(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "even", {"value"}, 1);
  return test_remainder(runtime, b[0], Value::integer(2), 0);
}

Value test_divisible(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "divisibleby", {"value", "num"}, 2);
  return test_remainder(runtime, b[0], b[1], 0);
}

Value test_in(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "in", {"value", "seq"}, 2);
  return Value::boolean(contains(runtime, b[1], b[0]));
}

Value test_sameas(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "sameas", {"value", "other"}, 2);
  if (b[0].is(Kind::kString)) return Value::boolean(equals(runtime, b[0], b[1]));
  return Value::boolean(b[0].same(b[1]));
}

// str(value).islower() and str(value).isupper().
template <bool (*kWanted)(char32_t), bool (*kOther)(char32_t)>
Value test_case(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "test", {"value"}, 1);
  bool any = false;
  for (char32_t c : decode_utf8(str(runtime, b[0]))) {
    if (kOther(c) || is_title(c)) return Value::boolean(false);
    any |= kWanted(c);
  }
  return Value::boolean(any);
}

Value test_filter(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "filter", {"value"}, 1);
  return Value::boolean(b[0].is(Kind::kString) && find_filter(b[0].text()) != nullptr);
}

Value test_test(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "test", {"value"}, 1);
  return Value::boolean(b[0].is(Kind::kString) && find_test(b[0].text()) != nullptr);
}

bool is_undefined(const Value& v) { return v.is(Kind::kUndefined); }
bool is_defined(const Value& v) { return !v.is(Kind::kUndefined); }
bool is_none(const Value& v) { return v.is(Kind::kNone); }
bool is_boolean(const Value& v) { return v.is(Kind::kBool); }
bool is_true(const Value& v) { return v.is(Kind::kBool) && v.boolean(); }
bool is_false(const Value& v) { return v.is(Kind::kBool) && !v.boolean(); }
bool is_integer(const Value& v) { return v.is(Kind::kInt); }
bool is_float(const Value& v) { return v.is(Kind::kFloat); }
bool is_number(const Value& v) { return v.is_number(); }
bool is_string(const Value& v) { return v.is(Kind::kString); }
bool is_mapping(const Value& v) { return v.is(Kind::kDict); }
bool is_escaped(const Value& v) { return v.is_markup(); }

constexpr NamedFunction kTests[] = {
    {"!=", comparing<Op::kNe>},
    {"<", comparing<Op::kLt>},
    {"<=", comparing<Op::kLe>},
    {"==", comparing<Op::kEq>},
    {">", comparing<Op::kGt>},
    {">=", comparing<Op::kGe>},
    {"boolean", one_value<is_boolean>},
    {"callable", one_value<is_callable>},
    {"defined", one_value<is_defined>},
    {"divisibleby", test_divisible},
    {"eq", comparing<Op::kEq>},
    {"equalto", comparing<Op::kEq>},
    {"escaped", one_value<is_escaped>},
    {"even", test_even},
    {"false", one_value<is_false>},
    {"filter", test_filter},
    {"float", one_value<is_float>},
    {"ge", comparing<Op::kGe>},
    {"greaterthan", comparing<Op::kGt>},
    {"gt", comparing<Op::kGt>},
    {"in", test_in},
    {"integer", one_value<is_integer>},
    {"iterable", one_value<is_iterable>},
    {"le", comparing<Op::kLe>},
    {"lessthan", comparing<Op::kLt>},
    {"lower", test_case<is_lower, is_upper>},
    {"lt", comparing<Op::kLt>},
    {"mapping", one_value<is_mapping>},
    {"ne", comparing<Op::kNe>},
    {"none", one_value<is_none>},
    {"number", one_value<is_number>},
    {"odd", test_odd},
    {"sameas", test_sameas},
    {"sequence", one_value<is_sequence>},
    {"string", one_value<is_string>},
    {"test", test_test},
    {"true", one_value<is_true>},
    {"undefined", one_value<is_undefined>},
    {"upper", test_case<is_upper, is_lower>},
};

}  // namespace

Function find_test(std::string_view name) { return find_function(kTests, name); }

bool apply_test(Runtime& runtime, std::string_view name, Arguments& arguments) {
  const Function test = find_test(name);
  if (test == nullptr) runtime.fail("No test named '{}'", name);
  runtime.step();
  return truth(test(runtime, arguments));
}

}  // namespace hearth::tokenizer::jinja
