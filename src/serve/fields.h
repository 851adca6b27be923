// Typed reading of a request's JSON. Every wrong value is an Error{kInvalidArgument} whose `where`
// is the path of the field ("messages[2].role"); null counts as absent; unknown fields are nobody's
// business.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "io/json_fwd.h"

namespace hearth::serve {

class Fields {
 public:
  // `object` must outlive this. Throws when it is no object.
  explicit Fields(const io::Json& object, std::string path = {});

  bool has(const char* key) const { return find(key) != nullptr; }
  // Null when absent.
  const io::Json* find(const char* key) const;
  std::string path_of(const char* key) const;

  std::optional<double> number(const char* key, double low, double high) const;
  std::optional<int64_t> integer(const char* key, int64_t low, int64_t high) const;
  std::optional<bool> boolean(const char* key) const;
  std::optional<std::string> string(const char* key) const;
  // One of `choices`.
  std::optional<std::string> choice(const char* key, const std::vector<std::string>& choices) const;
  // A string, or an array of strings.
  std::vector<std::string> strings(const char* key, size_t count_max) const;
  std::vector<int32_t> integers(const char* key, size_t count_max) const;
  const io::Json* array(const char* key) const;
  const io::Json* object(const char* key) const;

  std::string require_string(const char* key) const;
  const io::Json& require_array(const char* key) const;

 private:
  [[noreturn]] void wrong(const char* key, const std::string& expected) const;
  [[noreturn]] void missing(const char* key, const char* expected) const;

  const io::Json& object_;
  std::string path_;
};

// A short rendering of a value for error texts.
std::string brief(const io::Json& value);

}  // namespace hearth::serve
