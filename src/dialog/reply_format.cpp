#include "dialog/reply_format.h"

#include "base/error.h"
#include "io/json.h"

namespace hearth::dialog {
namespace {

using io::Json;

struct Sign {
  std::string_view text;
  ToolSyntax syntax;
};

// The first that the template contains decides; the more telling ones come first.
constexpr Sign kSigns[] = {
    {"<｜tool▁calls▁begin｜>", ToolSyntax::kDeepSeek},
    {"[TOOL_CALLS]", ToolSyntax::kMistral},
    {"functools[", ToolSyntax::kPhi},
    {"<|tool_call|>", ToolSyntax::kPhi},
    {"<parameter=", ToolSyntax::kXml},
    {"<tool_call>", ToolSyntax::kHermes},
    {"<|python_start|>", ToolSyntax::kPythonic},
    {"[func_name1(", ToolSyntax::kPythonic},
    {"<|python_tag|>", ToolSyntax::kLlama},
    {"\"parameters\": dictionary of argument name", ToolSyntax::kLlama},
};

struct Thinking {
  std::string_view start, end;
};

constexpr Thinking kThinking[] = {
    {"<think>", "</think>"},
    {"[THINK]", "[/THINK]"},
    {"<seed:think>", "</seed:think>"},
    {"<|START_THINKING|>", "<|END_THINKING|>"},
};

const Json& function_of(const Json& tool) {
  const auto found = tool.is_object() ? tool.find("function") : tool.end();
  return found != tool.end() && found->is_object() ? *found : tool;
}

std::string name_of(const Json& tool) {
  const Json& function = function_of(tool);
  return function.is_object() ? function.value("name", "") : "";
}

std::string instructions(const Json& tools) {
  std::string text =
      "You can call functions. Each line below describes one as JSON, with a JSON schema of its "
      "arguments:\n";
  for (const Json& tool : tools) text += io::dump_json(function_of(tool)) + "\n";
  text +=
      "\nTo call a function, reply with exactly this, once per call:\n"
      "<tool_call>\n{\"name\": \"the function's name\", \"arguments\": {its arguments}}\n"
      "</tool_call>\n"
      "You are then told the result. When no function helps, answer in plain text.";
  return text;
}

std::string text_of(const Json& content) {
  if (content.is_string()) return content.get<std::string>();
  std::string text;
  for (const Json& part : content.is_array() ? content : Json::array()) {
    if (part.is_object() && part.contains("text") && part["text"].is_string()) {
      text += part["text"].get_ref<const std::string&>();
    }
  }
  return text;
}

std::string call_text(const Json& call) {
  const Json& function = function_of(call);
  const Json arguments = function.value("arguments", Json::object());
  const std::string text =
      arguments.is_string() ? arguments.get<std::string>() : io::dump_json(arguments);
  return "<tool_call>\n{\"name\": " + io::dump_json(name_of(call)) + ", \"arguments\": " + text +
         "}\n</tool_call>";
}

Json plain_message(const Json& message) {
  const Json content = message.value("content", Json());
  if (message.value("role", "") == "tool") {
    return {{"role", "user"},
            {"content", "<tool_response>\n" + text_of(content) + "\n</tool_response>"}};
  }
  const auto calls = message.find("tool_calls");
  if (calls == message.end() || !calls->is_array() || calls->empty()) return message;
  std::string text = text_of(content);
  for (const Json& call : *calls) text += (text.empty() ? "" : "\n") + call_text(call);
  return {{"role", message["role"]}, {"content", text}};
}

// {"name": <one of the tools>, <arguments_key>: <its schema>}
Json call_schema(const Json& tool, const char* arguments_key) {
  const Json& function = function_of(tool);
  Json parameters = function.value("parameters", Json());
  if (!parameters.is_object() || parameters.empty()) {
    parameters = {{"type", "object"}, {"properties", Json::object()}};
  }
  Json properties = {{"name", {{"const", name_of(tool)}}}};
  properties[arguments_key] = std::move(parameters);
  return {{"type", "object"},
          {"properties", std::move(properties)},
          {"required", Json::array({"name", arguments_key})},
          {"additionalProperties", false}};
}

Json any_call(const Json& tools, ToolChoice choice, const std::string& named,
              const char* arguments_key) {
  Json options = Json::array();
  for (const Json& tool : tools) {
    if (choice == ToolChoice::kNamed && name_of(tool) != named) continue;
    options.push_back(call_schema(tool, arguments_key));
  }
  if (options.empty()) {
    throw_error(ErrorCode::kInvalidArgument, "tool_choice",
                "none of the tools is named '{}'; name one of them", named);
  }
  return options.size() == 1 ? options[0] : Json({{"anyOf", std::move(options)}});
}

}  // namespace

ReplyFormat detect_format(std::string_view chat_template) {
  ReplyFormat out;
  for (const Sign& sign : kSigns) {
    if (chat_template.find(sign.text) == std::string_view::npos) continue;
    out.tools = sign.syntax;
    break;
  }
  for (const Thinking& thinking : kThinking) {
    if (chat_template.find(thinking.end) == std::string_view::npos) continue;
    out.think_start = thinking.start;
    out.think_end = thinking.end;
    break;
  }
  return out;
}

Json describe_tools(const Json& messages, const Json& tools) {
  Json out = Json::array();
  std::string system = instructions(tools);
  size_t first = 0;
  if (!messages.empty() && messages[0].value("role", "") == "system") {
    system = text_of(messages[0].value("content", Json())) + "\n\n" + system;
    first = 1;
  }
  out.push_back({{"role", "system"}, {"content", system}});
  for (size_t i = first; i < messages.size(); ++i) {
    Json next = plain_message(messages[i]);
    // Results of calls made together share one user turn: templates want turns to alternate.
    const bool joins = messages[i].value("role", "") == "tool" && i > first &&
                       messages[i - 1].value("role", "") == "tool";
    if (joins) {
      out.back()["content"] =
          out.back()["content"].get<std::string>() + "\n" + next["content"].get<std::string>();
    } else {
      out.push_back(std::move(next));
    }
  }
  return out;
}

ForcedFormat forced_format(ToolSyntax syntax, const Json& tools, ToolChoice choice,
                           const std::string& named, Calls calls) {
  if (!tools.is_array() || tools.empty()) {
    throw_error(ErrorCode::kInvalidArgument, "tool_choice",
                "a call is required, but there are no tools");
  }
  const char* key = syntax == ToolSyntax::kLlama ? "parameters" : "arguments";
  const Json one = any_call(tools, choice, named, key);
  Json many = {{"type", "array"}, {"items", one}, {"minItems", 1}};
  if (calls == Calls::kOne) many["maxItems"] = 1;
  switch (syntax) {
    case ToolSyntax::kMistral:
      return {"[TOOL_CALLS]", io::dump_json(many), ""};
    case ToolSyntax::kPhi:
      return {"functools", io::dump_json(many), ""};
    case ToolSyntax::kLlama:
      return {"", io::dump_json(one), ""};
    default:
      // Every parser reads this form too, so that a forced call needs no grammar per syntax.
      return {"<tool_call>\n", io::dump_json(one), "\n</tool_call>"};
  }
}

}  // namespace hearth::dialog
