// Strings, numbers and integers.
#include "base/error.h"
#include "grammar/json_multiple.h"
#include "grammar/regex.h"
#include "grammar/schema_compiler.h"
#include "grammar/string_format.h"
#include "io/json.h"

namespace hearth::grammar {

using io::Json;

int64_t SchemaCompiler::count(const Json& schema, const char* key, int64_t fallback,
                              const std::string& path) {
  const auto it = schema.find(key);
  if (it == schema.end()) return fallback;
  const bool whole =
      it->is_number() && it->get<double>() >= 0 &&
      it->get<double>() ==
          static_cast<double>(static_cast<int64_t>(std::min(it->get<double>(), 1e15)));
  if (!whole) wrong_schema(path + "/" + key, "expected a whole number of 0 or more");
  return static_cast<int64_t>(it->get<double>());
}

ExprId SchemaCompiler::string(const Json& schema, const std::string& path) {
  const int64_t low = count(schema, "minLength", 0, path);
  const int64_t high = count(schema, "maxLength", kUnbounded, path);
  const bool sized = low > 0 || high != kUnbounded;
  if (schema.contains("pattern")) {
    if (sized)
      unsupported_keyword(path, "minLength/maxLength", "beside pattern; put it in the pattern");
    if (format_of(schema, path))
      unsupported_keyword(path, "format", "beside pattern; keep one of them");
    const Json& pattern = schema["pattern"];
    if (!pattern.is_string()) wrong_schema(path + "/pattern", "expected a string");
    return quoted(regex_expr(ir_, pattern.get<std::string>(), RegexMatch::kSearch, json_spelling,
                             "schema " + path + "/pattern"));
  }
  if (const auto format = format_of(schema, path)) {
    if (sized) unsupported_keyword(path, "minLength/maxLength", "beside format; keep one of them");
    const auto [it, fresh] = formats_.try_emplace(*format, -1);
    if (fresh) {
      it->second = text_.rule("format " + std::string(*format),
                              quoted(regex_expr(ir_, format_pattern(*format).value(),
                                                RegexMatch::kWhole, json_spelling, "format")));
    }
    return it->second;
  }
  if (!sized) return text_.string();
  return quoted(ir_.repeat(text_.character(), low, high));
}

ExprId SchemaCompiler::quoted(ExprId contents) {
  return ir_.seq({ir_.literal("\""), contents, ir_.literal("\"")});
}

// The format if it restricts strings; formats that only describe (int32, password) do not.
std::optional<std::string> SchemaCompiler::format_of(const Json& schema,
                                                     const std::string& path) const {
  const auto it = schema.find("format");
  if (it == schema.end() || !it->is_string()) return std::nullopt;
  const auto& name = it->get_ref<const std::string&>();
  if (format_pattern(name)) return name;
  if (is_unsupported_format(name)) {
    throw_error(ErrorCode::kUnsupported, "schema " + path + "/format",
                "format '{}' is not supported; use pattern instead", name);
  }
  return std::nullopt;
}

NumberRange SchemaCompiler::range(const Json& schema, const std::string& path) const {
  NumberRange range;
  const auto bound = [&](const char* key) -> std::optional<Decimal> {
    const auto it = schema.find(key);
    if (it == schema.end() || it->is_boolean()) return std::nullopt;
    if (!it->is_number()) wrong_schema(path + "/" + key, "expected a number");
    return Decimal::parse(io::dump_json(*it), "schema " + path + "/" + key);
  };
  // Draft 4 wrote exclusiveMinimum: true beside minimum.
  const auto flag = [&schema](const char* key) {
    return schema.contains(key) && schema[key] == Json(true);
  };
  const auto low = bound("minimum"), low_open = bound("exclusiveMinimum");
  const auto high = bound("maximum"), high_open = bound("exclusiveMaximum");
  if (low) range.low = Bound{*low, flag("exclusiveMinimum")};
  if (high) range.high = Bound{*high, flag("exclusiveMaximum")};
  if (low_open && (!low || schema["exclusiveMinimum"] >= schema["minimum"])) {
    range.low = Bound{*low_open, true};
  }
  if (high_open && (!high || schema["exclusiveMaximum"] <= schema["maximum"])) {
    range.high = Bound{*high_open, true};
  }
  return range;
}

ExprId SchemaCompiler::number(const Json& schema, const std::string& path) {
  if (schema.contains("multipleOf")) return multiple(schema, "number", path);
  const NumberRange limits = range(schema, path);
  return limits.low || limits.high ? number_expr(ir_, limits) : text_.number();
}

ExprId SchemaCompiler::integer(const Json& schema, const std::string& path) {
  if (schema.contains("multipleOf")) return multiple(schema, "integer", path);
  return integer_expr(ir_, range(schema, path));
}

ExprId SchemaCompiler::multiple(const Json& schema, const std::string& type,
                                const std::string& path) {
  const Json& value = schema["multipleOf"];
  const std::string at = path + "/multipleOf";
  if (!value.is_number() || value <= Json(0)) wrong_schema(at, "expected a number above 0");
  const Decimal divisor = Decimal::parse(io::dump_json(value), "schema " + at);
  const auto expr = multiple_expr(ir_, range(schema, path), divisor,
                                  type == "integer" ? Numbers::kIntegers : Numbers::kDecimals);
  if (!expr) {
    unsupported_keyword(path, "multipleOf",
                        "with these bounds: it takes a divisor of at most 100, one like 0.01, or "
                        "at most 1000 numbers between the bounds");
  }
  return *expr;
}

}  // namespace hearth::grammar
