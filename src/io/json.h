// JSON as the rest of Hearth sees it: nlohmann's library with key order kept, and a parser with
// limits for bytes from outside. Include it in .cpp files; headers forward-declare with
// io/json_fwd.h.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/error.h"
#include "io/json_fwd.h"

namespace hearth::io {

struct JsonLimits {
  size_t bytes_max = size_t{256} << 20;  // of the whole text
  int depth_max = 128;                   // of nested arrays and objects
};

// Parses one JSON text. Throws Error{kInvalidArgument} with line, column and what was expected;
// `where` names the file or field. Duplicate keys: the last one wins. Invalid UTF-8 is an error.
Json parse_json(std::string_view text, const std::string& where, const JsonLimits& limits = {});

// Reads and parses a file; throws kNotFound, kIo or kInvalidArgument with the path.
Json load_json(const std::string& path, const JsonLimits& limits = {});

// Serialises on one line; bytes that are not UTF-8 become U+FFFD.
std::string dump_json(const Json& json);

// object[key] as T, or `fallback` when the key is absent or null. Throws Error naming where.key
// when the type is wrong.
template <typename T>
T json_get(const Json& object, const char* key, T fallback, const std::string& where) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return fallback;
  try {
    return it->get<T>();
  } catch (const nlohmann::json::exception&) {
    throw_error(ErrorCode::kInvalidArgument, where, "field '{}' has the wrong type ({})", key,
                it->type_name());
  }
}

// The same for a key that must be there.
template <typename T>
T json_require(const Json& object, const char* key, const std::string& where) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) {
    throw_error(ErrorCode::kInvalidArgument, where, "field '{}' is missing", key);
  }
  try {
    return it->get<T>();
  } catch (const nlohmann::json::exception&) {
    throw_error(ErrorCode::kInvalidArgument, where, "field '{}' has the wrong type ({})", key,
                it->type_name());
  }
}

}  // namespace hearth::io
