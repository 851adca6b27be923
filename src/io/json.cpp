#include "io/json.h"

#include <algorithm>

#include "io/file.h"

namespace hearth::io {
namespace {

struct Position {
  size_t line = 1;
  size_t column = 1;
};

Position position_of(std::string_view text, size_t byte) {
  Position position;
  for (char c : text.substr(0, std::min(byte, text.size()))) {
    ++position.column;
    if (c == '\n') position = {position.line + 1, 1};
  }
  return position;
}

// Depth of nesting is checked before the library parses, because its recursion is ours to bound.
void check_depth(std::string_view text, const std::string& where, int depth_max) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > depth_max) {
        throw_error(ErrorCode::kInvalidArgument, where, "JSON is nested deeper than {} levels",
                    depth_max);
      }
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where, const JsonLimits& limits) {
  if (text.size() > limits.bytes_max) {
    throw_error(ErrorCode::kTooLarge, where, "JSON of {} bytes is over the limit of {}",
                text.size(), limits.bytes_max);
  }
  check_depth(text, where, limits.depth_max);
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const nlohmann::json::parse_error& error) {
    const size_t byte = error.byte == 0 ? 0 : error.byte - 1;
    const Position at = position_of(text, byte);
    throw_error(ErrorCode::kInvalidArgument, where, "not valid JSON at line {}, column {}{}",
                at.line, at.column, byte >= text.size() ? " (it ends too early)" : "");
  } catch (const nlohmann::json::out_of_range&) {
    throw_error(ErrorCode::kInvalidArgument, where, "a JSON number is too large for a double");
  }
}

Json load_json(const std::string& path, const JsonLimits& limits) {
  return parse_json(read_file(path, limits.bytes_max), path, limits);
}

std::string dump_json(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace hearth::io
