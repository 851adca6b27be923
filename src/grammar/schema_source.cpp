#include "grammar/schema_source.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "grammar/schema_merge.h"
#include "io/json.h"

namespace hearth::grammar {

using io::Json;

namespace {

// Places in the schema that references lead to are followed this far before they are a cycle.
constexpr int kRefChainMax = 64;
// Merging copies schemas; a few hundred is a large schema already.
constexpr int kMergesMax = 20'000;

constexpr const char* kTypes[] = {"object",  "array",   "string", "number",
                                  "integer", "boolean", "null"};

bool is_unsupported(const std::string& key) {
  static const std::set<std::string> kUnsupported{"not",
                                                  "if",
                                                  "then",
                                                  "else",
                                                  "dependentRequired",
                                                  "dependentSchemas",
                                                  "dependencies",
                                                  "unevaluatedProperties",
                                                  "unevaluatedItems",
                                                  "contains",
                                                  "minContains",
                                                  "maxContains",
                                                  "propertyNames",
                                                  "$dynamicRef",
                                                  "$recursiveRef"};
  return kUnsupported.contains(key);
}

}  // namespace

const std::map<std::string, std::string>& keyword_types() {
  static const std::map<std::string, std::string> kKeywords{{"properties", "object"},
                                                            {"required", "object"},
                                                            {"additionalProperties", "object"},
                                                            {"patternProperties", "object"},
                                                            {"minProperties", "object"},
                                                            {"maxProperties", "object"},
                                                            {"items", "array"},
                                                            {"prefixItems", "array"},
                                                            {"additionalItems", "array"},
                                                            {"minItems", "array"},
                                                            {"maxItems", "array"},
                                                            {"uniqueItems", "array"},
                                                            {"pattern", "string"},
                                                            {"format", "string"},
                                                            {"minLength", "string"},
                                                            {"maxLength", "string"},
                                                            {"minimum", "number"},
                                                            {"maximum", "number"},
                                                            {"exclusiveMinimum", "number"},
                                                            {"exclusiveMaximum", "number"},
                                                            {"multipleOf", "number"}};
  return kKeywords;
}

const char* type_of(const Json& value) {
  if (value.is_object()) return "object";
  if (value.is_array()) return "array";
  if (value.is_string()) return "string";
  if (value.is_boolean()) return "boolean";
  if (value.is_null()) return "null";
  return value.is_number_integer() ? "integer" : "number";
}

bool only_restricts_by(const Json& schema, const char* keyword) {
  if (!schema.contains(keyword)) return false;
  return std::all_of(schema.items().begin(), schema.items().end(), [&](const auto& item) {
    return item.key() == keyword || is_annotation(item.key());
  });
}

std::vector<std::string> allowed_types(const Json& schema, const std::string& path) {
  std::vector<std::string> types;
  if (schema.contains("type")) {
    const Json& type = schema["type"];
    for (const Json& one : type.is_array() ? type : Json::array({type})) {
      if (!one.is_string() || std::find(std::begin(kTypes), std::end(kTypes),
                                        one.get<std::string>()) == std::end(kTypes)) {
        wrong_schema(path + "/type",
                     "expected object, array, string, number, integer, boolean or "
                     "null, found " +
                         io::dump_json(one));
      }
      types.push_back(one.get<std::string>());
    }
    return types;
  }
  for (const char* type : kTypes) {
    for (const auto& [key, value] : schema.items()) {
      const auto it = keyword_types().find(key);
      if (it == keyword_types().end() || it->second != type) continue;
      types.emplace_back(type);
      break;
    }
  }
  if (!types.empty()) return types;
  return {"object", "array", "string", "number", "boolean", "null"};
}

void wrong_schema(const std::string& path, const std::string& text) {
  throw_error(ErrorCode::kInvalidArgument, "schema " + path, "{}", text);
}

void unsupported_keyword(const std::string& path, const std::string& key, const std::string& cure) {
  throw_error(ErrorCode::kUnsupported, "schema " + path, "keyword '{}' is not supported; {}", key,
              cure);
}

void check_keywords(const Json& schema, const std::string& path) {
  for (const auto& [key, value] : schema.items()) {
    if (is_unsupported(key)) {
      unsupported_keyword(path, key, "leave it out and check it afterwards");
    }
  }
}

const Json& SchemaSource::resolve(const Json& reference, const std::string& path) const {
  if (!reference.is_string()) wrong_schema(path + "/$ref", "expected a string");
  const auto& target = reference.get_ref<const std::string&>();
  if (target != "#" && !target.starts_with("#/")) {
    throw_error(ErrorCode::kUnsupported, "schema " + path + "/$ref",
                "'{}' is not in this schema; only references that start with '#/' are followed",
                target);
  }
  try {
    return root_.at(Json::json_pointer(target.substr(1)));
  } catch (const nlohmann::json::exception&) {
    wrong_schema(path + "/$ref", "nothing is at '" + target + "'");
  }
}

Json SchemaSource::flattened(const Json& schema, const std::string& path) {
  return flattened(schema, path, 0);
}

Json SchemaSource::flattened(const Json& schema, const std::string& path, int chain) {
  if (chain > kRefChainMax) wrong_schema(path, "$ref and allOf lead around in a circle");
  if (!schema.is_object()) return schema;
  check_keywords(schema, path);
  Json merged = schema;
  if (schema.contains("$ref")) {
    merged.erase("$ref");
    merged = merge_schemas(merged, flattened(resolve(schema["$ref"], path), path, chain + 1),
                           "schema " + path);
  }
  if (merged.is_object() && merged.contains("allOf")) {
    const Json parts = merged["allOf"];
    if (!parts.is_array()) wrong_schema(path + "/allOf", "expected a list of schemas");
    merged.erase("allOf");
    for (const Json& part : parts) {
      merged = merge_schemas(merged, flattened(part, path, chain + 1), "schema " + path);
      count_merge(path);
    }
  }
  return merged;
}

Json SchemaSource::alternative(const Json& schema, const char* key, size_t i,
                               const std::string& path) {
  count_merge(path);
  const Json& list = schema[key];
  if (only_restricts_by(schema, key)) return list[i];
  Json rest = schema;
  rest.erase(key);
  return merge_schemas(rest, flattened(list[i], path), "schema " + path);
}

void SchemaSource::count_merge(const std::string& path) {
  if (++merges_ > kMergesMax) {
    throw_error(ErrorCode::kTooLarge, "schema " + path,
                "more than {} schemas to merge and alternatives in all", kMergesMax);
  }
}

}  // namespace hearth::grammar
