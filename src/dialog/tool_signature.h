// What a reply parser knows of a tool: its name, and of which JSON types its parameters are. Calls
// that are not written as JSON need the types to become JSON.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "io/json_fwd.h"

namespace hearth::dialog {

struct ToolSignature {
  std::string name;
  // Names of JSON types; a parameter that is not there, or without a type, is a string.
  std::map<std::string, std::set<std::string>> parameters;
};

// `tools` is OpenAI's array.
std::vector<ToolSignature> signatures(const io::Json& tools);

}  // namespace hearth::dialog
