// Objects.
#include <set>

#include "grammar/regex.h"
#include "grammar/schema_compiler.h"
#include "io/json.h"

namespace hearth::grammar {

using io::Json;

ExprId SchemaCompiler::object(const Json& schema, const std::string& path, int depth) {
  const std::vector<Property> properties = properties_of(schema, path, depth);
  const int64_t low = count(schema, "minProperties", 0, path);
  const int64_t high = count(schema, "maxProperties", kUnbounded, path);
  const ExprId other = other_member(schema, properties, path, depth);
  if (low > 1) {
    unsupported_keyword(path, "minProperties",
                        "above 1, since a name could come twice; use required");
  }
  if (!properties.empty()) {
    if (high != kUnbounded) {
      unsupported_keyword(path, "maxProperties", "beside properties; use required");
    }
    return object_of(properties, other, low);
  }
  if (high != kUnbounded && high < low) return ir_.never();
  if (other == ir_.never() || high == 0) return low == 0 ? ir_.literal("{}") : ir_.never();
  if (high == kUnbounded) return text_.brackets("{", text_.list(other), "}", emptiness(low));
  const ExprId member = text_.rule(path + " member", other);
  const ExprId more = ir_.repeat(ir_.seq({text_.comma(), member}), 0, high - 1);
  return text_.brackets("{", ir_.seq({member, more}), "}", emptiness(low));
}

std::vector<SchemaCompiler::Property> SchemaCompiler::properties_of(const Json& schema,
                                                                    const std::string& path,
                                                                    int depth) {
  std::vector<Property> properties;
  std::set<std::string> required;
  if (schema.contains("required")) {
    const Json& names = schema["required"];
    if (!names.is_array()) wrong_schema(path + "/required", "expected a list of names");
    for (const Json& name : names) {
      if (!name.is_string()) wrong_schema(path + "/required", "expected a list of names");
      required.insert(name.get<std::string>());
    }
  }
  if (schema.contains("properties")) {
    const Json& declared = schema["properties"];
    if (!declared.is_object()) wrong_schema(path + "/properties", "expected an object");
    for (const auto& [name, property] : declared.items()) {
      const ExprId value = any_schema(property, path + "/properties/" + name, depth + 1);
      properties.push_back({name, value, required.erase(name) > 0});
    }
  }
  // Required, and declared nowhere: as additionalProperties says.
  if (required.empty()) return properties;
  const bool described = schema.contains("additionalProperties");
  if (!described && schema.contains("properties")) {
    wrong_schema(path + "/required", "'" + *required.begin() +
                                         "' is not among the properties; declare it, or set "
                                         "additionalProperties");
  }
  for (const Json& name : schema["required"]) {
    if (required.erase(name.get<std::string>()) == 0) continue;
    const ExprId value = described ? any_schema(schema["additionalProperties"],
                                                path + "/additionalProperties", depth + 1)
                                   : text_.value();
    properties.push_back({name.get<std::string>(), value, true});
  }
  return properties;
}

// A member that is not declared, or never. Declared properties close the object unless
// additionalProperties opens it.
ExprId SchemaCompiler::other_member(const Json& schema, const std::vector<Property>& properties,
                                    const std::string& path, int depth) {
  if (schema.contains("patternProperties")) return pattern_members(schema, properties, path, depth);
  const bool closed = schema.contains("properties") && !schema["properties"].empty();
  const Json rest =
      schema.contains("additionalProperties") ? schema["additionalProperties"] : Json(!closed);
  const ExprId value = any_schema(rest, path + "/additionalProperties", depth + 1);
  if (value == ir_.never()) return value;
  std::vector<std::string> names;
  for (const Property& property : properties) names.push_back(property.name);
  return ir_.seq({text_.string_other_than(names), text_.colon(), value});
}

ExprId SchemaCompiler::pattern_members(const Json& schema, const std::vector<Property>& properties,
                                       const std::string& path, int depth) {
  const Json& patterns = schema["patternProperties"];
  if (!patterns.is_object()) wrong_schema(path + "/patternProperties", "expected an object");
  const bool closed =
      !schema.contains("additionalProperties") || schema["additionalProperties"] == Json(false);
  if (!properties.empty() || !closed || patterns.size() > 1) {
    unsupported_keyword(path, "patternProperties",
                        "beside properties, additionalProperties or a second pattern");
  }
  std::vector<ExprId> parts;
  for (const auto& [pattern, value] : patterns.items()) {
    const std::string at = path + "/patternProperties/" + pattern;
    parts.push_back(ir_.seq(
        {quoted(regex_expr(ir_, pattern, RegexMatch::kSearch, json_spelling, "schema " + at)),
         text_.colon(), any_schema(value, at, depth + 1)}));
  }
  return ir_.choice(std::move(parts));
}

// Two tracks of vertices: no member yet (2i), some member already (2i + 1). A property's value is
// between them, once, so that nothing is written twice.
ExprId SchemaCompiler::object_of(const std::vector<Property>& properties, ExprId other,
                                 int64_t low) {
  const auto count = static_cast<int32_t>(properties.size());
  const int32_t values = 2 * count + 2;  // the vertex before each value
  const int32_t end = values + count + 1;
  std::vector<GraphEdge> edges;
  bool may_be_empty = low == 0;
  for (int32_t i = 0; i < count; ++i) {
    const Property& property = properties[i];
    const ExprId key = ir_.seq({ir_.literal(io::dump_json(Json(property.name))), text_.colon()});
    edges.push_back({2 * i, values + i, key});
    edges.push_back({2 * i + 1, values + i, ir_.seq({text_.comma(), key})});
    edges.push_back({values + i, 2 * i + 3, property.value});
    if (property.required) {
      may_be_empty = false;
    } else {
      edges.push_back({2 * i, 2 * i + 2, ir_.empty()});
      edges.push_back({2 * i + 1, 2 * i + 3, ir_.empty()});
    }
  }
  if (other != ir_.never()) {
    const int32_t before = values + count;
    edges.push_back({2 * count, before, ir_.empty()});
    edges.push_back({2 * count + 1, before, text_.comma()});
    edges.push_back({before, 2 * count + 1, other});
  }
  edges.push_back({2 * count + 1, end, ir_.empty()});
  return text_.brackets("{", ir_.graph(end + 1, std::move(edges)), "}",
                        may_be_empty ? JsonText::Empty::kAllowed : JsonText::Empty::kForbidden);
}

}  // namespace hearth::grammar
