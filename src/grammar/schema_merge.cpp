#include "grammar/schema_merge.h"

#include <algorithm>
#include <set>

#include "io/json.h"

namespace hearth::grammar {
namespace {

using io::Json;

// anyOf beside anyOf multiplies.
constexpr size_t kAlternativesMax = 256;

Json types_of(const Json& type) { return type.is_array() ? type : Json::array({type}); }

Json common_types(const Json& a, const Json& b) {
  const Json left = types_of(a), right = types_of(b);
  Json both = Json::array();
  for (const Json& type : left) {
    if (holds(right, type) || (type == "integer" && holds(right, "number"))) both.push_back(type);
  }
  if (holds(left, "number") && holds(right, "integer") && !holds(both, "integer")) {
    both.push_back("integer");
  }
  return both;
}

Json all_of(const Json& a, const Json& b) { return Json{{"allOf", Json::array({a, b})}}; }

Json common_values(const Json& a, const Json& b) {
  Json both = Json::array();
  for (const Json& value : a) {
    if (holds(b, value)) both.push_back(value);
  }
  return both;
}

Json united(Json a, const Json& b) {
  for (const Json& value : b) {
    if (!holds(a, value)) a.push_back(value);
  }
  return a;
}

// const is an enum of one.
Json with_enum(Json schema) {
  if (schema.contains("const")) {
    Json values = Json::array({schema["const"]});
    schema.erase("const");
    schema["enum"] = schema.contains("enum") ? common_values(schema["enum"], values) : values;
  }
  return schema;
}

// A property only one side names still meets the other side's additionalProperties.
Json merge_properties(const Json& a, const Json& b) {
  const Json none = Json::object();
  const auto get = [&none](const Json& schema) -> const Json& {
    const auto it = schema.find("properties");
    return it == schema.end() ? none : *it;
  };
  const Json& left = get(a);
  const Json& right = get(b);
  Json merged = Json::object();
  const auto add = [&merged](const std::string& name, const Json& property, const Json& other,
                             const Json& other_schema) {
    if (other.contains(name)) {
      merged[name] = all_of(property, other[name]);
    } else if (other_schema.contains("additionalProperties")) {
      merged[name] = all_of(property, other_schema["additionalProperties"]);
    } else {
      merged[name] = property;
    }
  };
  for (const auto& [name, property] : left.items()) add(name, property, right, b);
  for (const auto& [name, property] : right.items()) {
    if (!left.contains(name)) add(name, property, left, a);
  }
  return merged;
}

Json cross(const Json& a, const Json& b, const std::string& path) {
  if (a.size() * b.size() > kAlternativesMax) {
    throw_error(ErrorCode::kTooLarge, path, "merging {} with {} alternatives gives more than {}",
                a.size(), b.size(), kAlternativesMax);
  }
  Json all = Json::array();
  for (const Json& x : a) {
    for (const Json& y : b) all.push_back(all_of(x, y));
  }
  return all;
}

Json merge_keyword(const std::string& key, const Json& a, const Json& b, const std::string& path) {
  static const std::set<std::string> kLargest{"minimum", "exclusiveMinimum", "minLength",
                                              "minItems", "minProperties"};
  static const std::set<std::string> kSmallest{"maximum", "exclusiveMaximum", "maxLength",
                                               "maxItems", "maxProperties"};
  if (a == b || is_annotation(key)) return a;
  if (key == "type") return common_types(a, b);
  if (key == "enum") return common_values(a, b);
  if (key == "required") return united(a, b);
  if (key == "items" || key == "additionalProperties") return all_of(a, b);
  if (key == "anyOf" || key == "oneOf") return cross(a, b, path);
  if (key == "nullable") return a == Json(true) && b == Json(true);
  if (kLargest.contains(key) && a.is_number() && b.is_number()) return a < b ? b : a;
  if (kSmallest.contains(key) && a.is_number() && b.is_number()) return a < b ? a : b;
  throw_error(ErrorCode::kUnsupported, path,
              "keyword '{}' comes twice with different values {} "
              "and {}, which cannot be merged; keep one of them",
              key, io::dump_json(a), io::dump_json(b));
}

}  // namespace

bool is_annotation(const std::string& keyword) {
  static const std::set<std::string> kAnnotations{
      "title",           "description",      "default",    "examples",
      "example",         "$schema",          "$id",        "$comment",
      "$defs",           "definitions",      "deprecated", "readOnly",
      "writeOnly",       "$anchor",          "strict",     "discriminator",
      "contentEncoding", "contentMediaType", "name",       "id",
      "$vocabulary"};
  return keyword.starts_with("x-") || kAnnotations.contains(keyword);
}

Json merge_schemas(const Json& first, const Json& second, const std::string& path) {
  if (first.is_boolean()) return first == Json(true) ? second : first;
  if (second.is_boolean()) return second == Json(true) ? first : second;
  const Json a = with_enum(first), b = with_enum(second);
  Json merged = a;
  for (const auto& [key, value] : b.items()) {
    if (key == "properties" || key == "allOf") continue;
    merged[key] = a.contains(key) ? merge_keyword(key, a[key], value, path) : value;
  }
  if (a.contains("properties") || b.contains("properties")) {
    merged["properties"] = merge_properties(a, b);
  }
  if (b.contains("allOf")) {
    if (!merged.contains("allOf")) merged["allOf"] = Json::array();
    for (const Json& part : b["allOf"]) merged["allOf"].push_back(part);
  }
  return merged;
}

bool holds(const Json& list, const Json& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

}  // namespace hearth::grammar
