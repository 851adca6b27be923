// The named things a template can reach: filters, tests and global functions. Explicit tables.
#pragma once

#include <algorithm>
#include <span>
#include <string_view>

#include "tokenizer/jinja/runtime.h"
#include "tokenizer/jinja/value.h"

namespace hearth::tokenizer::jinja {

struct NamedFunction {
  std::string_view name;
  Function function;
};

// Null when there is none of that name.
inline Function find_function(std::span<const NamedFunction> table, std::string_view name) {
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const NamedFunction& one) { return one.name == name; });
  return found == table.end() ? nullptr : found->function;
}

// Null when there is none of that name. The input of a filter or test is its first argument.
Function find_filter(std::string_view name);
Function find_test(std::string_view name);

// False when there is no such global (range, namespace, raise_exception, ...).
bool find_global(Runtime& runtime, std::string_view name, Value& out);

// Filters over whole sequences; part of the table that find_filter reads.
Function find_sequence_filter(std::string_view name);

// value.a.b.0 as the filters' attribute= argument names it.
Value attribute_path(Runtime& runtime, const Value& value, const Value& path);
Value apply_filter(Runtime& runtime, std::string_view name, Arguments& arguments);
bool apply_test(Runtime& runtime, std::string_view name, Arguments& arguments);

}  // namespace hearth::tokenizer::jinja
