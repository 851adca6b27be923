#include "grammar/json_schema.h"

#include <algorithm>

#include "base/error.h"
#include "grammar/schema_compiler.h"
#include "grammar/schema_disjoint.h"
#include "io/json.h"

namespace hearth::grammar {

using io::Json;

namespace {

bool restricts(const Json& schema) {
  return std::any_of(schema.items().begin(), schema.items().end(), [](const auto& item) {
    return keyword_types().contains(item.key()) || item.key() == "type";
  });
}

}  // namespace

ExprId SchemaCompiler::compile() {
  const ExprId root = any_schema(source_.root(), "#", 0);
  while (!todo_.empty()) {
    const Reference next = todo_.back();
    todo_.pop_back();
    ir_.set_body(next.rule, any_schema(*next.schema, next.path, 0));
  }
  return root;
}

ExprId SchemaCompiler::any_schema(const Json& schema, const std::string& path, int depth) {
  if (depth > ir_.limits().nesting_max) {
    throw_error(ErrorCode::kTooLarge, "schema " + path, "schemas nest deeper than {} (nesting_max)",
                ir_.limits().nesting_max);
  }
  if (schema.is_boolean()) return schema.get<bool>() ? text_.value() : ir_.never();
  if (!schema.is_object()) {
    wrong_schema(path, std::string("expected a schema (an object, true or false), found ") +
                           schema.type_name());
  }
  check_keywords(schema, path);
  if (only_restricts_by(schema, "$ref")) return reference(schema["$ref"], path);
  if (schema.contains("$ref") || schema.contains("allOf")) {
    return any_schema(source_.flattened(schema, path), path, depth + 1);
  }
  for (const char* key : {"anyOf", "oneOf"}) {
    if (schema.contains(key)) return alternatives(schema, key, path, depth);
  }
  ExprId expr = plain(schema, path, depth);
  if (schema.contains("nullable") && schema["nullable"] == Json(true)) {
    expr = ir_.choice({expr, ir_.literal("null")});
  }
  return expr;
}

ExprId SchemaCompiler::reference(const Json& target, const std::string& path) {
  const Json& schema = source_.resolve(target, path);
  const auto& name = target.get_ref<const std::string&>();
  const auto [it, fresh] = references_.try_emplace(name, -1);
  if (fresh) {
    it->second = ir_.add_rule(name);
    todo_.push_back({it->second, &schema, name});
  }
  return ir_.call(it->second);
}

ExprId SchemaCompiler::alternatives(const Json& schema, const char* key, const std::string& path,
                                    int depth) {
  const std::string at = path + "/" + key;
  if (!schema[key].is_array()) wrong_schema(at, "expected a list of schemas");
  std::vector<Json> list;
  for (size_t i = 0; i < schema[key].size(); ++i) {
    list.push_back(source_.alternative(schema, key, i, at + "/" + std::to_string(i)));
  }
  if (std::string_view(key) == "oneOf") check_disjoint(source_, list, path);
  std::vector<ExprId> parts;
  for (size_t i = 0; i < list.size(); ++i) {
    parts.push_back(any_schema(list[i], at + "/" + std::to_string(i), depth + 1));
  }
  return ir_.choice(std::move(parts));
}

ExprId SchemaCompiler::plain(const Json& schema, const std::string& path, int depth) {
  const std::vector<std::string> types = allowed_types(schema, path);
  if (schema.contains("const") || schema.contains("enum")) return values(schema, types, path);
  if (!restricts(schema)) return text_.value();
  std::vector<ExprId> parts;
  for (const std::string& type : types) parts.push_back(typed(schema, type, path, depth));
  return ir_.choice(std::move(parts));
}

ExprId SchemaCompiler::values(const Json& schema, const std::vector<std::string>& types,
                              const std::string& path) {
  for (const auto& [key, value] : schema.items()) {
    if (keyword_types().contains(key)) {
      unsupported_keyword(path, key, "beside enum or const; leave out the values that it excludes");
    }
  }
  Json list = schema.contains("const") ? Json::array({schema["const"]}) : schema["enum"];
  if (!list.is_array()) wrong_schema(path + "/enum", "expected a list of values");
  std::vector<ExprId> parts;
  for (const Json& value : list) {
    if (schema.contains("const") && schema.contains("enum")) {
      const Json& both = schema["enum"];
      if (std::find(both.begin(), both.end(), value) == both.end()) continue;
    }
    const std::string type = type_of(value);
    const bool fits = std::any_of(types.begin(), types.end(), [&](const std::string& allowed) {
      return allowed == type || (allowed == "number" && type == "integer");
    });
    if (fits) parts.push_back(text_.constant(value));
  }
  return ir_.choice(std::move(parts));
}

ExprId SchemaCompiler::typed(const Json& schema, const std::string& type, const std::string& path,
                             int depth) {
  if (type == "object") return object(schema, path, depth);
  if (type == "array") return array(schema, path, depth);
  if (type == "string") return string(schema, path);
  if (type == "number") return number(schema, path);
  if (type == "integer") return integer(schema, path);
  if (type == "null") return ir_.literal("null");
  return ir_.choice({ir_.literal("true"), ir_.literal("false")});
}

ExprId json_schema_expr(Ir& ir, const Json& schema, Whitespace whitespace) {
  return SchemaCompiler(ir, schema, whitespace).compile();
}

}  // namespace hearth::grammar
