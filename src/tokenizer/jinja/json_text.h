// json.dumps with Python's options and layout.
#pragma once

#include <string>

#include "tokenizer/jinja/runtime.h"

namespace hearth::tokenizer::jinja {

struct JsonStyle {
  bool ascii = false;
  bool pretty = false;
  bool sort_keys = false;
  std::string indent;  // one level, when pretty
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};

std::string json_text(Runtime& runtime, const Value& value, const JsonStyle& style);

}  // namespace hearth::tokenizer::jinja
