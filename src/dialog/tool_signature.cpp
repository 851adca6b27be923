#include "dialog/tool_signature.h"

#include "io/json.h"

namespace hearth::dialog {
namespace {

using io::Json;

constexpr int kDepthMax = 8;

std::string type_of(const Json& value) {
  if (value.is_number()) return value.is_number_integer() ? "integer" : "number";
  if (value.is_boolean()) return "boolean";
  if (value.is_null()) return "null";
  if (value.is_array()) return "array";
  return value.is_object() ? "object" : "string";
}

void collect(const Json& schema, std::set<std::string>& types, int depth) {
  if (!schema.is_object() || depth > kDepthMax) return;
  const Json type = schema.value("type", Json());
  for (const Json& one : type.is_array() ? type : Json::array({type})) {
    if (one.is_string()) types.insert(one.get<std::string>());
  }
  if (schema.contains("const")) types.insert(type_of(schema["const"]));
  for (const char* key : {"enum", "anyOf", "oneOf", "allOf"}) {
    const Json list = schema.value(key, Json::array());
    for (const Json& one : list.is_array() ? list : Json::array()) {
      if (std::string_view(key) == "enum") {
        types.insert(type_of(one));
      } else {
        collect(one, types, depth + 1);
      }
    }
  }
}

}  // namespace

std::vector<ToolSignature> signatures(const Json& tools) {
  std::vector<ToolSignature> out;
  for (const Json& tool : tools) {
    const Json& function = tool.contains("function") ? tool["function"] : tool;
    ToolSignature signature{function.value("name", ""), {}};
    const Json parameters = function.value("parameters", Json::object());
    const Json properties =
        parameters.is_object() ? parameters.value("properties", Json::object()) : Json::object();
    for (const auto& [name, schema] : properties.items()) {
      collect(schema, signature.parameters[name], 0);
    }
    out.push_back(std::move(signature));
  }
  return out;
}

}  // namespace hearth::dialog
