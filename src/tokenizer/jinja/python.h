// What Python's operators and built-in functions do to values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/jinja/ast.h"
#include "tokenizer/jinja/runtime.h"
#include "tokenizer/jinja/value.h"

namespace hearth::tokenizer::jinja {

// Type name as Python prints it: 'str', 'dict', 'NoneType', ...
std::string_view type_name(const Value& value);

bool truth(const Value& value);
bool equals(Runtime& runtime, const Value& a, const Value& b);
// Negative, zero or positive; fails for types that Python can not order.
int compare(Runtime& runtime, const Value& a, const Value& b, Op op);
bool contains(Runtime& runtime, const Value& container, const Value& item);
size_t hash(Runtime& runtime, const Value& value);

// str(value) and repr(value).
std::string str(Runtime& runtime, const Value& value);
std::string repr(Runtime& runtime, const Value& value);
std::string float_repr(double value);
// As `str`, but without a copy for text; `storage` keeps the result otherwise.
std::string_view str_view(Runtime& runtime, const Value& value, std::string& storage);

Value binary(Runtime& runtime, Op op, const Value& a, const Value& b);
Value negate(Runtime& runtime, const Value& value);
bool compares(Runtime& runtime, Op op, const Value& a, const Value& b);
// a ~ b ~ ...
Value concatenate(Runtime& runtime, const std::vector<Value>& parts);

// Fails when the value has no length.
int64_t length(Runtime& runtime, const Value& value);
bool has_length(const Value& value);
// The items that `for x in value` visits. Generators are consumed.
std::vector<Value> iterate(Runtime& runtime, const Value& value);
bool is_iterable(const Value& value);

// value.name and value[key] as the immutable sandbox resolves them; undefined when absent.
Value attribute(Runtime& runtime, const Value& value, std::string_view name);
Value item(Runtime& runtime, const Value& value, const Value& key);
Value slice(Runtime& runtime, const Value& value, const Value& start, const Value& stop,
            const Value& step);

Value call(Runtime& runtime, const Value& function, Arguments& arguments);

[[noreturn]] void fail_undefined(Runtime& runtime, const Value& value);
void require_defined(Runtime& runtime, const Value& value);

// "%d items" % (3,) and "{} items".format(3).
std::string percent_format(Runtime& runtime, std::string_view format, const Value& arguments,
                           Markup markup);
std::string brace_format(Runtime& runtime, std::string_view format, const Arguments& arguments,
                         Markup markup);

// A method of str, list, dict or float; false when the type has none of that name.
bool find_method(Runtime& runtime, const Value& self, std::string_view name, Value& out);

// A callable made of a C++ function; `self` becomes its first argument when there is one.
Value make_function(Runtime& runtime, Function function);
Value make_method(Runtime& runtime, Function function, const Value& self);

}  // namespace hearth::tokenizer::jinja
