#include "grammar/json_schema.h"

#include <algorithm>
#include <map>
#include <set>

#include "grammar/json_number.h"
#include "grammar/regex.h"
#include "grammar/schema_merge.h"
#include "grammar/string_format.h"
#include "io/json.h"

namespace hearth::grammar {
namespace {

using io::Json;

// Places in the schema that references lead to are followed this far before they are a cycle.
constexpr int kRefChainMax = 64;
constexpr int32_t kDivisorMax = 1000;

constexpr const char* kTypes[] = {"object",  "array",   "string", "number",
                                  "integer", "boolean", "null"};

// Keywords that restrict, by the type they restrict; the type is inferred from them where it is not
// given.
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

// Understood by validators, and not by us: to ignore one would break the promise.
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

const char* type_of(const Json& value) {
  if (value.is_object()) return "object";
  if (value.is_array()) return "array";
  if (value.is_string()) return "string";
  if (value.is_boolean()) return "boolean";
  if (value.is_null()) return "null";
  return value.is_number_integer() ? "integer" : "number";
}

class SchemaCompiler {
 public:
  SchemaCompiler(Ir& ir, const Json& root, Whitespace whitespace)
      : ir_(ir), root_(root), text_(ir, whitespace) {}

  ExprId compile() {
    const ExprId root = any_schema(root_, "#", 0);
    while (!todo_.empty()) {
      const Reference next = todo_.back();
      todo_.pop_back();
      ir_.set_body(next.rule, any_schema(*next.schema, next.path, 0));
    }
    return root;
  }

 private:
  struct Reference {
    RuleId rule = 0;
    const Json* schema = nullptr;
    std::string path;
  };

  [[noreturn]] void wrong(const std::string& path, const std::string& text) const {
    throw_error(ErrorCode::kInvalidArgument, "schema " + path, "{}", text);
  }
  [[noreturn]] void unsupported(const std::string& path, const std::string& key,
                                const std::string& cure) const {
    throw_error(ErrorCode::kUnsupported, "schema " + path, "keyword '{}' is not supported; {}", key,
                cure);
  }

  ExprId any_schema(const Json& schema, const std::string& path, int depth) {
    if (depth > ir_.limits().nesting_max) {
      throw_error(ErrorCode::kTooLarge, "schema " + path,
                  "schemas nest deeper than {} (nesting_max)", ir_.limits().nesting_max);
    }
    if (schema.is_boolean()) return schema.get<bool>() ? text_.value() : ir_.never();
    if (!schema.is_object()) {
      wrong(path, std::string("expected a schema (an object, true or false), found ") +
                      schema.type_name());
    }
    for (const auto& [key, value] : schema.items()) {
      if (is_unsupported(key)) unsupported(path, key, "leave it out and check it afterwards");
    }
    if (only_restricts_by(schema, "$ref")) return reference(schema["$ref"], path);
    if (schema.contains("$ref") || schema.contains("allOf")) {
      return any_schema(flattened(schema, path, 0), path, depth + 1);
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

  static bool only_restricts_by(const Json& schema, const char* keyword) {
    if (!schema.contains(keyword)) return false;
    return std::all_of(schema.items().begin(), schema.items().end(), [&](const auto& item) {
      return item.key() == keyword || is_annotation(item.key());
    });
  }

  // -- references

  const Json& resolve(const Json& reference, const std::string& path) const {
    if (!reference.is_string()) wrong(path + "/$ref", "expected a string");
    const auto& target = reference.get_ref<const std::string&>();
    if (target != "#" && !target.starts_with("#/")) {
      throw_error(ErrorCode::kUnsupported, "schema " + path + "/$ref",
                  "'{}' is not in this schema; only references that start with '#/' are followed",
                  target);
    }
    try {
      return root_.at(Json::json_pointer(target.substr(1)));
    } catch (const nlohmann::json::exception&) {
      wrong(path + "/$ref", "nothing is at '" + target + "'");
    }
  }

  ExprId reference(const Json& target, const std::string& path) {
    const Json& schema = resolve(target, path);
    const auto& name = target.get_ref<const std::string&>();
    const auto [it, fresh] = references_.try_emplace(name, -1);
    if (fresh) {
      it->second = ir_.add_rule(name);
      todo_.push_back({it->second, &schema, name});
    }
    return ir_.call(it->second);
  }

  // Without $ref and allOf at the top: what they say is merged in.
  Json flattened(const Json& schema, const std::string& path, int chain) {
    if (chain > kRefChainMax) wrong(path, "$ref and allOf lead around in a circle");
    if (!schema.is_object()) return schema;
    for (const auto& [key, value] : schema.items()) {
      if (is_unsupported(key)) unsupported(path, key, "leave it out and check it afterwards");
    }
    Json merged = schema;
    if (schema.contains("$ref")) {
      merged.erase("$ref");
      merged = merge_schemas(merged, flattened(resolve(schema["$ref"], path), path, chain + 1),
                             "schema " + path);
    }
    if (merged.is_object() && merged.contains("allOf")) {
      const Json parts = merged["allOf"];
      if (!parts.is_array()) wrong(path + "/allOf", "expected a list of schemas");
      merged.erase("allOf");
      for (const Json& part : parts) {
        merged = merge_schemas(merged, flattened(part, path, chain + 1), "schema " + path);
        if (++merges_ > kMergesMax) {
          throw_error(ErrorCode::kTooLarge, "schema " + path, "more than {} schemas to merge",
                      kMergesMax);
        }
      }
    }
    return merged;
  }

  ExprId alternatives(const Json& schema, const char* key, const std::string& path, int depth) {
    const Json& list = schema[key];
    if (!list.is_array()) wrong(path + "/" + key, "expected a list of schemas");
    Json rest = schema;
    rest.erase(key);
    const bool alone = only_restricts_by(schema, key);
    std::vector<ExprId> parts;
    for (size_t i = 0; i < list.size(); ++i) {
      const std::string at = path + "/" + key + "/" + std::to_string(i);
      if (++merges_ > kMergesMax) {
        throw_error(ErrorCode::kTooLarge, "schema " + path, "more than {} alternatives in all",
                    kMergesMax);
      }
      parts.push_back(any_schema(
          alone ? list[i] : merge_schemas(rest, flattened(list[i], at, 0), "schema " + at), at,
          depth + 1));
    }
    return ir_.choice(std::move(parts));
  }

  // -- a schema of types

  ExprId plain(const Json& schema, const std::string& path, int depth) {
    const std::vector<std::string> types = allowed_types(schema, path);
    if (schema.contains("const") || schema.contains("enum")) return values(schema, types, path);
    std::vector<ExprId> parts;
    for (const std::string& type : types) parts.push_back(typed(schema, type, path, depth));
    return types.size() == std::size(kTypes) - 1 && !restricts(schema)
               ? text_.value()
               : ir_.choice(std::move(parts));
  }

  static bool restricts(const Json& schema) {
    return std::any_of(schema.items().begin(), schema.items().end(), [](const auto& item) {
      return keyword_types().contains(item.key()) || item.key() == "type";
    });
  }

  std::vector<std::string> allowed_types(const Json& schema, const std::string& path) const {
    std::vector<std::string> types;
    if (schema.contains("type")) {
      const Json& type = schema["type"];
      for (const Json& one : type.is_array() ? type : Json::array({type})) {
        if (!one.is_string() || std::find(std::begin(kTypes), std::end(kTypes),
                                          one.get<std::string>()) == std::end(kTypes)) {
          wrong(path + "/type",
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

  ExprId values(const Json& schema, const std::vector<std::string>& types,
                const std::string& path) {
    for (const auto& [key, value] : schema.items()) {
      if (keyword_types().contains(key)) {
        unsupported(path, key, "beside enum or const; leave out the values that it excludes");
      }
    }
    Json list = schema.contains("const") ? Json::array({schema["const"]}) : schema["enum"];
    if (!list.is_array()) wrong(path + "/enum", "expected a list of values");
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

  ExprId typed(const Json& schema, const std::string& type, const std::string& path, int depth) {
    if (type == "object") return object(schema, path, depth);
    if (type == "array") return array(schema, path, depth);
    if (type == "string") return string(schema, path);
    if (type == "number") return number(schema, path);
    if (type == "integer") return integer(schema, path);
    if (type == "null") return ir_.literal("null");
    return ir_.choice({ir_.literal("true"), ir_.literal("false")});
  }

  // -- strings and numbers

  int64_t count(const Json& schema, const char* key, int64_t fallback, const std::string& path) {
    const auto it = schema.find(key);
    if (it == schema.end()) return fallback;
    const bool whole =
        it->is_number() && it->get<double>() >= 0 &&
        it->get<double>() ==
            static_cast<double>(static_cast<int64_t>(std::min(it->get<double>(), 1e15)));
    if (!whole) wrong(path + "/" + key, "expected a whole number of 0 or more");
    return static_cast<int64_t>(it->get<double>());
  }

  ExprId string(const Json& schema, const std::string& path) {
    const int64_t low = count(schema, "minLength", 0, path);
    const int64_t high = count(schema, "maxLength", kUnbounded, path);
    const bool sized = low > 0 || high != kUnbounded;
    if (schema.contains("pattern")) {
      if (sized) unsupported(path, "minLength/maxLength", "beside pattern; put it in the pattern");
      if (format_of(schema, path)) unsupported(path, "format", "beside pattern; keep one of them");
      const Json& pattern = schema["pattern"];
      if (!pattern.is_string()) wrong(path + "/pattern", "expected a string");
      return quoted(regex_expr(ir_, pattern.get<std::string>(), RegexMatch::kSearch, json_spelling,
                               "schema " + path + "/pattern"));
    }
    if (const auto format = format_of(schema, path)) {
      if (sized) unsupported(path, "minLength/maxLength", "beside format; keep one of them");
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

  ExprId quoted(ExprId contents) {
    return ir_.seq({ir_.literal("\""), contents, ir_.literal("\"")});
  }

  // The format if it restricts strings; formats that only describe (int32, password) do not.
  std::optional<std::string> format_of(const Json& schema, const std::string& path) const {
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

  NumberRange range(const Json& schema, const std::string& path) const {
    NumberRange range;
    const auto bound = [&](const char* key) -> std::optional<Decimal> {
      const auto it = schema.find(key);
      if (it == schema.end() || it->is_boolean()) return std::nullopt;
      if (!it->is_number()) wrong(path + "/" + key, "expected a number");
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

  ExprId number(const Json& schema, const std::string& path) {
    if (schema.contains("multipleOf")) {
      unsupported(path, "multipleOf", "for numbers; use type integer");
    }
    const NumberRange limits = range(schema, path);
    return limits.low || limits.high ? number_expr(ir_, limits) : text_.number();
  }

  ExprId integer(const Json& schema, const std::string& path) {
    const NumberRange limits = range(schema, path);
    if (!schema.contains("multipleOf")) return integer_expr(ir_, limits);
    if (limits.low || limits.high) {
      unsupported(path, "multipleOf", "beside bounds; keep one of them");
    }
    const int64_t divisor = count(schema, "multipleOf", 1, path);
    if (divisor < 1 || divisor > kDivisorMax) {
      wrong(path + "/multipleOf", "expected 1 to " + std::to_string(kDivisorMax));
    }
    return multiple_expr(ir_, static_cast<int32_t>(divisor));
  }

  // -- arrays

  ExprId array(const Json& schema, const std::string& path, int depth) {
    if (schema.contains("uniqueItems") && schema["uniqueItems"] != Json(false)) {
      unsupported(path, "uniqueItems", "leave it out and check it afterwards");
    }
    const Json none = Json::array();
    // Draft 7 wrote a list of items, and additionalItems for what follows.
    const bool old_tuple = schema.contains("items") && schema["items"].is_array();
    const char* prefix_key = old_tuple ? "items" : "prefixItems";
    const char* rest_key = old_tuple ? "additionalItems" : "items";
    const Json& prefix = schema.contains(prefix_key) ? schema[prefix_key] : none;
    if (!prefix.is_array()) wrong(path + "/" + prefix_key, "expected a list of schemas");
    const auto fixed = static_cast<int64_t>(prefix.size());
    const int64_t low = count(schema, "minItems", 0, path);
    const int64_t high = count(schema, "maxItems", kUnbounded, path);
    if (high != kUnbounded && high < low) return ir_.never();
    if (high == 0) return ir_.literal("[]");

    ExprId item = schema.contains(rest_key)
                      ? any_schema(schema[rest_key], path + "/" + rest_key, depth + 1)
                      : text_.value();
    if (fixed == 0 && low <= 1 && high == kUnbounded) {
      return text_.brackets("[", text_.list(item), "]", emptiness(low));
    }
    item = text_.rule(path + "/" + rest_key, item);
    const ExprId next = ir_.seq({text_.comma(), item});
    const int64_t rest_high = high == kUnbounded ? kUnbounded : std::max<int64_t>(0, high - fixed);
    if (fixed == 0) {
      const ExprId more = ir_.repeat(next, std::max<int64_t>(0, low - 1),
                                     high == kUnbounded ? kUnbounded : high - 1);
      return text_.brackets("[", ir_.seq({item, more}), "]", emptiness(low));
    }
    ExprId tail = ir_.repeat(next, std::max<int64_t>(0, low - fixed), rest_high);
    for (int64_t i = fixed; i-- > 0;) {
      if (high != kUnbounded && i >= high) {
        tail = ir_.empty();
        continue;
      }
      const ExprId one =
          any_schema(prefix[i], path + "/" + prefix_key + "/" + std::to_string(i), depth + 1);
      if (i == 0) {
        tail = ir_.seq({one, tail});
      } else {
        tail = ir_.seq({text_.comma(), one, tail});
        if (i >= low) tail = ir_.optional(tail);
      }
    }
    return text_.brackets("[", tail, "]", emptiness(low));
  }

  static JsonText::Empty emptiness(int64_t low) {
    return low == 0 ? JsonText::Empty::kAllowed : JsonText::Empty::kForbidden;
  }

  // -- objects

  struct Property {
    std::string name;
    ExprId value = 0;
    bool required = false;
  };

  ExprId object(const Json& schema, const std::string& path, int depth) {
    const std::vector<Property> properties = properties_of(schema, path, depth);
    const int64_t low = count(schema, "minProperties", 0, path);
    const int64_t high = count(schema, "maxProperties", kUnbounded, path);
    const ExprId other = other_member(schema, properties, path, depth);
    if (!properties.empty()) {
      if (low > 1 || high != kUnbounded) {
        unsupported(path, low > 1 ? "minProperties" : "maxProperties",
                    "beside properties; use required");
      }
      return object_of(properties, other, low);
    }
    if (high != kUnbounded && high < low) return ir_.never();
    if (other == ir_.never() || high == 0) return low == 0 ? ir_.literal("{}") : ir_.never();
    const auto empty = emptiness(low);
    if (low <= 1 && high == kUnbounded) {
      return text_.brackets("{", text_.list(other), "}", empty);
    }
    const ExprId member = text_.rule(path + " member", other);
    const ExprId more = ir_.repeat(ir_.seq({text_.comma(), member}), std::max<int64_t>(0, low - 1),
                                   high == kUnbounded ? kUnbounded : high - 1);
    return text_.brackets("{", ir_.seq({member, more}), "}", empty);
  }

  std::vector<Property> properties_of(const Json& schema, const std::string& path, int depth) {
    std::vector<Property> properties;
    std::set<std::string> required;
    if (schema.contains("required")) {
      const Json& names = schema["required"];
      if (!names.is_array()) wrong(path + "/required", "expected a list of names");
      for (const Json& name : names) {
        if (!name.is_string()) wrong(path + "/required", "expected a list of names");
        required.insert(name.get<std::string>());
      }
    }
    if (schema.contains("properties")) {
      const Json& declared = schema["properties"];
      if (!declared.is_object()) wrong(path + "/properties", "expected an object");
      for (const auto& [name, property] : declared.items()) {
        const ExprId value = any_schema(property, path + "/properties/" + name, depth + 1);
        properties.push_back({name, value, required.erase(name) > 0});
      }
    }
    // Required, and declared nowhere: as additionalProperties says.
    if (required.empty()) return properties;
    const bool described = schema.contains("additionalProperties");
    if (!described && schema.contains("properties")) {
      wrong(path + "/required", "'" + *required.begin() +
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
  ExprId other_member(const Json& schema, const std::vector<Property>& properties,
                      const std::string& path, int depth) {
    if (schema.contains("patternProperties"))
      return pattern_members(schema, properties, path, depth);
    const bool closed = schema.contains("properties") && !schema["properties"].empty();
    const Json rest =
        schema.contains("additionalProperties") ? schema["additionalProperties"] : Json(!closed);
    const ExprId value = any_schema(rest, path + "/additionalProperties", depth + 1);
    if (value == ir_.never()) return value;
    std::vector<std::string> names;
    for (const Property& property : properties) names.push_back(property.name);
    return ir_.seq({text_.string_other_than(names), text_.colon(), value});
  }

  ExprId pattern_members(const Json& schema, const std::vector<Property>& properties,
                         const std::string& path, int depth) {
    const Json& patterns = schema["patternProperties"];
    if (!patterns.is_object()) wrong(path + "/patternProperties", "expected an object");
    const bool closed =
        !schema.contains("additionalProperties") || schema["additionalProperties"] == Json(false);
    if (!properties.empty() || !closed || patterns.size() > 1) {
      unsupported(path, "patternProperties",
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
  ExprId object_of(const std::vector<Property>& properties, ExprId other, int64_t low) {
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

  // Merging copies schemas; a few hundred is a large schema already.
  static constexpr int kMergesMax = 20'000;

  Ir& ir_;
  const Json& root_;
  JsonText text_;
  std::map<std::string, RuleId> references_;
  std::map<std::string, ExprId> formats_;
  std::vector<Reference> todo_;
  int merges_ = 0;
};

}  // namespace

ExprId json_schema_expr(Ir& ir, const Json& schema, Whitespace whitespace) {
  return SchemaCompiler(ir, schema, whitespace).compile();
}

}  // namespace hearth::grammar
