#include "serve/fields.h"

#include <cmath>
#include <fmt/ranges.h>

#include "base/error.h"
#include "io/json.h"

namespace hearth::serve {

using io::Json;

namespace {

constexpr size_t kBriefBytes = 60;

}  // namespace

std::string brief(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  std::string text = io::dump_json(value);
  if (text.size() > kBriefBytes) text = "a long " + std::string(value.type_name());
  return text;
}

Fields::Fields(const Json& object, std::string path) : object_(object), path_(std::move(path)) {
  if (!object.is_object()) {
    throw_error(ErrorCode::kInvalidArgument, path_, "expected a JSON object, got {}",
                brief(object));
  }
}

const Json* Fields::find(const char* key) const {
  const auto it = object_.find(key);
  return it == object_.end() || it->is_null() ? nullptr : &*it;
}

std::string Fields::path_of(const char* key) const {
  return path_.empty() ? key : path_ + "." + key;
}

void Fields::wrong(const char* key, const std::string& expected) const {
  throw_error(ErrorCode::kInvalidArgument, path_of(key), "'{}': expected {}, got {}", path_of(key),
              expected, brief(*find(key)));
}

void Fields::missing(const char* key, const char* expected) const {
  throw_error(ErrorCode::kInvalidArgument, path_of(key), "'{}' is missing: expected {}",
              path_of(key), expected);
}

std::optional<double> Fields::number(const char* key, double low, double high) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  const double number = value->is_number() ? value->get<double>() : std::nan("");
  if (!(number >= low && number <= high)) {
    wrong(key, fmt::format("a number between {} and {}", low, high));
  }
  return number;
}

std::optional<int64_t> Fields::integer(const char* key, int64_t low, int64_t high) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  const std::string expected = fmt::format("an integer between {} and {}", low, high);
  if (!value->is_number()) wrong(key, expected);
  // 3.0 is an integer to most languages' JSON writers; compare as double before converting.
  const double number = value->get<double>();
  const bool too_large = value->is_number_unsigned() && value->get<uint64_t>() > INT64_MAX;
  if (std::floor(number) != number || std::abs(number) > 9.3e18 || too_large) wrong(key, expected);
  const int64_t integer =
      value->is_number_float() ? static_cast<int64_t>(number) : value->get<int64_t>();
  if (integer < low || integer > high) wrong(key, expected);
  return integer;
}

std::optional<bool> Fields::boolean(const char* key) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_boolean()) wrong(key, "true or false");
  return value->get<bool>();
}

std::optional<std::string> Fields::string(const char* key) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_string()) wrong(key, "a string");
  return value->get<std::string>();
}

std::optional<std::string> Fields::choice(const char* key,
                                          const std::vector<std::string>& choices) const {
  const auto text = string(key);
  if (!text) return std::nullopt;
  for (const std::string& allowed : choices) {
    if (*text == allowed) return text;
  }
  wrong(key, fmt::format("one of {}", fmt::join(choices, ", ")));
}

std::vector<std::string> Fields::strings(const char* key, size_t count_max) const {
  const Json* value = find(key);
  if (!value) return {};
  if (value->is_string()) return {value->get<std::string>()};
  const std::string expected = fmt::format("a string or at most {} strings", count_max);
  if (!value->is_array() || value->size() > count_max) wrong(key, expected);
  std::vector<std::string> out;
  for (const Json& item : *value) {
    if (!item.is_string()) wrong(key, expected);
    out.push_back(item.get<std::string>());
  }
  return out;
}

std::vector<int32_t> Fields::integers(const char* key, size_t count_max) const {
  const Json* value = array(key);
  if (!value) return {};
  const std::string expected = fmt::format("at most {} integers", count_max);
  if (value->size() > count_max) wrong(key, expected);
  std::vector<int32_t> out;
  for (const Json& item : *value) {
    const bool fits = item.is_number_integer() && item.get<double>() >= INT32_MIN &&
                      item.get<double>() <= INT32_MAX;
    if (!fits) wrong(key, expected);
    out.push_back(item.get<int32_t>());
  }
  return out;
}

const Json* Fields::array(const char* key) const {
  const Json* value = find(key);
  if (value && !value->is_array()) wrong(key, "an array");
  return value;
}

const Json* Fields::object(const char* key) const {
  const Json* value = find(key);
  if (value && !value->is_object()) wrong(key, "an object");
  return value;
}

std::string Fields::require_string(const char* key) const {
  if (!has(key)) missing(key, "a string");
  return *string(key);
}

const Json& Fields::require_array(const char* key) const {
  if (!has(key)) missing(key, "an array");
  return *array(key);
}

}  // namespace hearth::serve
