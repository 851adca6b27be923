#include "grammar/test_support.h"

#include <cmath>
#include <gtest/gtest.h>
#include <regex>

#include "io/json.h"

namespace hearth::grammar {
namespace {

using io::Json;

bool has_type(const Json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "null") return value.is_null();
  if (type == "integer") {
    return value.is_number() && value.get<double>() == std::floor(value.get<double>());
  }
  return value.is_number();
}

size_t code_points(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

bool divides(double divisor, double x) {
  const double times = x / divisor;
  return std::abs(times - std::round(times)) < 1e-9 * std::max(1.0, std::abs(times));
}

bool number_fits(const Json& value, const Json& schema) {
  const double x = value.get<double>();
  return x >= schema.value("minimum", -1e300) && x <= schema.value("maximum", 1e300) &&
         x > schema.value("exclusiveMinimum", -1e300) &&
         x < schema.value("exclusiveMaximum", 1e300) &&
         (!schema.contains("multipleOf") || divides(schema["multipleOf"].get<double>(), x));
}

bool string_fits(const std::string& text, const Json& schema) {
  if (code_points(text) < schema.value("minLength", size_t{0})) return false;
  if (code_points(text) > schema.value("maxLength", size_t{1} << 40)) return false;
  if (!schema.contains("pattern")) return true;
  return std::regex_search(text, std::regex(schema["pattern"].get<std::string>()));
}

bool array_fits(const Json& value, const Json& schema, const Json& root) {
  if (value.size() < schema.value("minItems", size_t{0})) return false;
  if (value.size() > schema.value("maxItems", size_t{1} << 40)) return false;
  const Json prefix = schema.value("prefixItems", Json::array());
  for (size_t i = 0; i < value.size(); ++i) {
    const Json item = i < prefix.size() ? prefix[i] : schema.value("items", Json(true));
    if (!satisfies(value[i], item, root)) return false;
  }
  return true;
}

bool object_fits(const Json& value, const Json& schema, const Json& root) {
  if (value.size() < schema.value("minProperties", size_t{0})) return false;
  if (value.size() > schema.value("maxProperties", size_t{1} << 40)) return false;
  for (const Json& name : schema.value("required", Json::array())) {
    if (!value.contains(name.get<std::string>())) return false;
  }
  const Json properties = schema.value("properties", Json::object());
  const Json patterns = schema.value("patternProperties", Json::object());
  for (const auto& [name, member] : value.items()) {
    bool known = properties.contains(name);
    if (known && !satisfies(member, properties[name], root)) return false;
    for (const auto& [pattern, by_pattern] : patterns.items()) {
      if (!std::regex_search(name, std::regex(pattern))) continue;
      known = true;
      if (!satisfies(member, by_pattern, root)) return false;
    }
    const Json rest = schema.value("additionalProperties", Json(true));
    if (!known && !satisfies(member, rest, root)) return false;
  }
  return true;
}

bool any_of(const Json& value, const Json& list, const Json& root) {
  return std::any_of(list.begin(), list.end(),
                     [&](const Json& one) { return satisfies(value, one, root); });
}

}  // namespace

bool satisfies(const Json& value, const Json& schema, const Json& root) {
  if (schema.is_boolean()) return schema.get<bool>();
  if (schema.contains("$ref")) {
    const auto target = schema["$ref"].get<std::string>().substr(1);
    if (!satisfies(value, root.at(Json::json_pointer(target)), root)) return false;
  }
  for (const char* key : {"anyOf", "oneOf"}) {
    if (schema.contains(key) && !any_of(value, schema[key], root)) return false;
  }
  for (const Json& part : schema.value("allOf", Json::array())) {
    if (!satisfies(value, part, root)) return false;
  }
  if (schema.contains("const") && value != schema["const"]) return false;
  if (schema.contains("enum")) {
    const Json& list = schema["enum"];
    if (std::find(list.begin(), list.end(), value) == list.end()) return false;
  }
  if (schema.contains("type") && !(schema.value("nullable", false) && value.is_null())) {
    const Json types = schema["type"].is_array() ? schema["type"] : Json::array({schema["type"]});
    const bool fits = std::any_of(types.begin(), types.end(), [&](const Json& type) {
      return has_type(value, type.get<std::string>());
    });
    if (!fits) return false;
  }
  if (value.is_number()) return number_fits(value, schema);
  if (value.is_string()) return string_fits(value.get<std::string>(), schema);
  if (value.is_array()) return array_fits(value, schema, root);
  if (value.is_object()) return object_fits(value, schema, root);
  return true;
}

std::shared_ptr<const Vocabulary> test_vocabulary(uint64_t seed, int merges) {
  Random random(seed);
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  for (const char* piece :
       {"\"", "\":", "\": ", "\",\"",   "{\"",   "\"}",  "}",    "]}",    "[[", "],",
        ", ", "\n",  "  ",   "true",    "false", "null", "\\\"", "\\u00", "-",  "0.",
        "é",  "😀",   "日本", "http://", "2024-", "abc",  "name", "value", "id"}) {
    tokens.emplace_back(piece);
  }
  for (int i = 0; i < merges; ++i) {
    const std::string merged =
        tokens[random.below(tokens.size())] + tokens[random.below(tokens.size())];
    if (merged.size() <= 12) tokens.push_back(merged);
  }
  tokens.emplace_back();
  const auto end = static_cast<int32_t>(tokens.size()) - 1;
  return std::make_shared<const Vocabulary>(std::move(tokens), std::vector<int32_t>{end});
}

std::vector<int32_t> allowed_tokens(Matcher& matcher, const Vocabulary& vocabulary) {
  std::vector<uint32_t> words(vocabulary.mask_words());
  matcher.fill(words);
  std::vector<int32_t> tokens;
  for (int32_t token = 0; token < vocabulary.size(); ++token) {
    if (words[token >> 5] >> (token & 31) & 1) tokens.push_back(token);
  }
  return tokens;
}

std::optional<std::string> random_text(Matcher& matcher, const Vocabulary& vocabulary,
                                       Random& random, int tokens_max) {
  std::string text;
  for (int i = 0; i < tokens_max; ++i) {
    std::vector<int32_t> allowed = allowed_tokens(matcher, vocabulary);
    EXPECT_FALSE(allowed.empty()) << "a dead end after " << text;
    if (allowed.empty()) return std::nullopt;
    int32_t token = allowed[random.below(allowed.size())];
    // Towards the end: what closes something, so that recursion ends.
    if (i > tokens_max / 4 && random.chance(0.7)) {
      for (const int32_t closing : allowed) {
        const std::string_view bytes = vocabulary.bytes(closing);
        if (bytes == "\"" || bytes == "}" || bytes == "]" || bytes == "0") token = closing;
      }
    }
    if (vocabulary.is_end(allowed.back()) && random.chance(0.4)) token = allowed.back();
    EXPECT_TRUE(matcher.accept(token)) << "the mask allowed token " << token << " after " << text;
    if (vocabulary.is_end(token)) return text;
    text += vocabulary.bytes(token);
  }
  return std::nullopt;
}

bool matches(const std::shared_ptr<const Grammar>& grammar, std::string_view text) {
  Matcher matcher(grammar);
  if (!text.empty() && !matcher.accept_text(text)) return false;
  return matcher.may_end();
}

}  // namespace hearth::grammar
