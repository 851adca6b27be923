#include "grammar/schema_disjoint.h"

#include <algorithm>
#include <set>

#include "grammar/schema_merge.h"
#include "io/json.h"

namespace hearth::grammar {

using io::Json;

namespace {

// Deeper than this nothing is proved.
constexpr int kDepthMax = 8;
constexpr int64_t kItemsLookedAt = 8;

Json member(const Json& schema, const char* key, Json fallback) {
  const auto it = schema.find(key);
  return it == schema.end() ? std::move(fallback) : *it;
}

std::set<std::string> types_of(const Json& schema, const std::string& path) {
  std::set<std::string> types;
  for (const std::string& type : allowed_types(schema, path)) types.insert(type);
  if (types.contains("number")) types.insert("integer");
  if (schema.contains("nullable") && schema["nullable"] == Json(true)) types.insert("null");
  return types;
}

int64_t characters(const std::string& text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

// What the compiler closes: declared properties, unless additionalProperties opens them.
bool writes_only_declared(const Json& schema) {
  if (schema.contains("patternProperties")) return false;
  if (schema.contains("additionalProperties")) return schema["additionalProperties"] == Json(false);
  return !member(schema, "properties", Json::object()).empty();
}

class Disjoint {
 public:
  Disjoint(SchemaSource& source, std::string path) : source_(source), path_(std::move(path)) {}

  // No text that is written for `made` fits `other`. False where that is not clear.
  bool excludes(const Json& made, const Json& other, int depth) {
    if (depth > kDepthMax) return false;
    const Json a = as_object(made), b = as_object(other);
    if (a.is_boolean() || b.is_boolean()) return true;  // as_object() leaves false alone
    for (const char* key : {"anyOf", "oneOf"}) {
      if (a.contains(key))
        return each(a, key, [&](const Json& x) { return excludes(x, b, depth + 1); });
      if (b.contains(key))
        return each(b, key, [&](const Json& x) { return excludes(a, x, depth + 1); });
    }
    if (const auto values = finite_values(source_, a, path_)) return none_fits(*values, b, depth);
    if (const auto values = finite_values(source_, b, path_)) return none_fits(*values, a, depth);
    const std::set<std::string> left = types_of(a, path_), right = types_of(b, path_);
    return std::all_of(left.begin(), left.end(), [&](const std::string& type) {
      return !right.contains(type) || type_excludes(type, a, b, depth);
    });
  }

 private:
  // true becomes {}, which says the same.
  Json as_object(const Json& schema) {
    Json flat = source_.flattened(schema, path_);
    return flat == Json(true) ? Json::object() : flat;
  }

  template <typename Holds>
  bool each(const Json& schema, const char* key, Holds holds) {
    for (size_t i = 0; i < schema[key].size(); ++i) {
      if (!holds(source_.alternative(schema, key, i, path_))) return false;
    }
    return true;
  }

  bool none_fits(const Json& values, const Json& schema, int depth) {
    return std::none_of(values.begin(), values.end(),
                        [&](const Json& value) { return may_fit(value, schema, depth + 1); });
  }

  bool type_excludes(const std::string& type, const Json& a, const Json& b, int depth) {
    if (type == "object") return object_excludes(a, b, depth);
    if (type == "array") return array_excludes(a, b, depth);
    if (type == "string") return apart(a, b, "minLength", "maxLength");
    if (type == "number" || type == "integer") return apart(a, b, "minimum", "maximum");
    return false;
  }

  static bool above(const Json& a, const char* low, const Json& b, const char* high) {
    return a.contains(low) && b.contains(high) && a[low].is_number() && b[high].is_number() &&
           a[low] > b[high];
  }
  static bool apart(const Json& a, const Json& b, const char* low, const char* high) {
    return above(a, low, b, high) || above(b, low, a, high);
  }

  bool object_excludes(const Json& a, const Json& b, int depth) {
    const Json none = Json::object();
    const Json mine = member(a, "properties", none), theirs = member(b, "properties", none);
    const Json required = member(a, "required", Json::array());
    const bool patterns = b.contains("patternProperties");
    const Json rest = member(b, "additionalProperties", true);
    for (const Json& name : required) {
      if (!name.is_string()) return false;
      const auto& key = name.get_ref<const std::string&>();
      const Json value = mine.contains(key) ? mine[key] : member(a, "additionalProperties", true);
      if (theirs.contains(key) ? excludes(value, theirs[key], depth + 1)
                               : !patterns && excludes(value, rest, depth + 1)) {
        return true;
      }
    }
    if (!writes_only_declared(a)) return false;
    const Json wanted = member(b, "required", Json::array());
    return std::any_of(wanted.begin(), wanted.end(), [&](const Json& name) {
      return name.is_string() && !mine.contains(name.get<std::string>()) && !holds(required, name);
    });
  }

  bool array_excludes(const Json& a, const Json& b, int depth) {
    if (apart(a, b, "minItems", "maxItems")) return true;
    const Json low = member(a, "minItems", 0);
    const int64_t sure = low.is_number() ? std::min(low.get<int64_t>(), kItemsLookedAt) : 0;
    for (int64_t i = 0; i < sure; ++i) {
      if (excludes(item(a, i), item(b, i), depth + 1)) return true;
    }
    return false;
  }

  static Json item(const Json& schema, int64_t index) {
    const bool old_tuple = schema.contains("items") && schema["items"].is_array();
    const Json prefix = member(schema, old_tuple ? "items" : "prefixItems", Json::array());
    if (index < static_cast<int64_t>(prefix.size())) return prefix[static_cast<size_t>(index)];
    return member(schema, old_tuple ? "additionalItems" : "items", true);
  }

  // False only where the value surely does not fit.
  bool may_fit(const Json& value, const Json& schema, int depth) {
    if (depth > kDepthMax) return true;
    const Json flat = as_object(schema);
    if (flat.is_boolean()) return false;
    for (const char* key : {"anyOf", "oneOf"}) {
      if (!flat.contains(key)) continue;
      return !each(flat, key, [&](const Json& one) { return !may_fit(value, one, depth + 1); });
    }
    if (const auto values = finite_values(source_, flat, path_)) return holds(*values, value);
    if (!types_of(flat, path_).contains(type_of(value))) return false;
    if (value.is_number()) {
      return !above(Json{{"low", value}}, "low", flat, "maximum") &&
             !above(flat, "minimum", Json{{"high", value}}, "high");
    }
    if (value.is_string()) {
      const Json size = {{"size", characters(value.get_ref<const std::string&>())}};
      return !above(size, "size", flat, "maxLength") && !above(flat, "minLength", size, "size");
    }
    return !value.is_object() || object_may_fit(value, flat, depth);
  }

  bool object_may_fit(const Json& value, const Json& schema, int depth) {
    for (const Json& name : member(schema, "required", Json::array())) {
      if (name.is_string() && !value.contains(name.get<std::string>())) return false;
    }
    const Json properties = member(schema, "properties", Json::object());
    for (const auto& [name, inner] : value.items()) {
      if (properties.contains(name) && !may_fit(inner, properties[name], depth + 1)) return false;
    }
    return true;
  }

  SchemaSource& source_;
  const std::string path_;
};

}  // namespace

void check_disjoint(SchemaSource& source, const std::vector<Json>& alternatives,
                    const std::string& path) {
  Disjoint disjoint(source, path + "/oneOf");
  for (size_t i = 0; i < alternatives.size(); ++i) {
    for (size_t j = i + 1; j < alternatives.size(); ++j) {
      if (disjoint.excludes(alternatives[i], alternatives[j], 0) &&
          disjoint.excludes(alternatives[j], alternatives[i], 0)) {
        continue;
      }
      unsupported_keyword(path, "oneOf",
                          "where one value may fit two alternatives, here " + std::to_string(i) +
                              " and " + std::to_string(j) +
                              "; use anyOf, or tell them apart by type or by a required property "
                              "with another const");
    }
  }
}

std::optional<Json> finite_values(SchemaSource& source, const Json& schema,
                                  const std::string& path) {
  const Json flat = source.flattened(schema, path);
  if (!flat.is_object()) return std::nullopt;
  Json all = Json::array();
  const auto add = [&all](const Json& value) {
    if (!holds(all, value)) all.push_back(value);
  };
  for (const char* key : {"anyOf", "oneOf"}) {
    if (!flat.contains(key) || !flat[key].is_array()) continue;
    for (size_t i = 0; i < flat[key].size(); ++i) {
      const auto some = finite_values(source, source.alternative(flat, key, i, path), path);
      if (!some) return std::nullopt;
      for (const Json& value : *some) add(value);
    }
    return all;
  }
  const std::set<std::string> types = types_of(flat, path);
  if (flat.contains("const") || flat.contains("enum")) {
    const Json list = flat.contains("const") ? Json::array({flat["const"]}) : flat["enum"];
    if (!list.is_array()) return std::nullopt;
    for (const Json& value : list) {
      const bool listed = !flat.contains("enum") || holds(flat["enum"], value);
      if (listed && types.contains(type_of(value))) add(value);
    }
    return all;
  }
  for (const std::string& type : types) {
    if (type != "boolean" && type != "null") return std::nullopt;
    add(type == "null" ? Json(nullptr) : Json(false));
    if (type == "boolean") add(true);
  }
  return all;
}

}  // namespace hearth::grammar
