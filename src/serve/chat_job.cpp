#include "serve/chat_job.h"

#include <algorithm>

#include "base/error.h"
#include "serve/either_constraint.h"

namespace hearth::serve {

using io::Json;

namespace {

constexpr size_t kToolsMax = 128;
constexpr size_t kFunctionNameMax = 64;

std::string text_of_parts(const Json& parts, const std::string& path) {
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Fields part(parts[i], fmt::format("{}[{}]", path, i));
    const std::string type = part.require_string("type");
    if (type != "text" && type != "input_text" && type != "output_text" && type != "refusal") {
      throw_error(ErrorCode::kUnsupported, part.path_of("type"),
                  "'{}': this model reads text only, got a part of type '{}'", part.path_of("type"),
                  type);
    }
    if (i > 0) out += '\n';
    out += part.require_string(type == "refusal" ? "refusal" : "text");
  }
  return out;
}

// OpenAI sends arguments as text; templates want to walk through them.
Json normalise_calls(const Json& calls, const std::string& path) {
  Json out = Json::array();
  for (size_t i = 0; i < calls.size(); ++i) {
    const Fields call(calls[i], fmt::format("{}[{}]", path, i));
    const Json* function = call.object("function");
    if (!function) {
      throw_error(ErrorCode::kInvalidArgument, call.path_of("function"),
                  "'{}' is missing: expected an object", call.path_of("function"));
    }
    const Fields inner(*function, call.path_of("function"));
    Json copy = calls[i];
    inner.require_string("name");
    const Json* arguments = inner.find("arguments");
    if (arguments && arguments->is_string()) {
      const std::string& text = arguments->get_ref<const std::string&>();
      copy["function"]["arguments"] =
          text.empty() ? Json::object() : io::parse_json(text, inner.path_of("arguments"));
    } else if (!arguments) {
      copy["function"]["arguments"] = Json::object();
    }
    out.push_back(std::move(copy));
  }
  return out;
}

Json normalise_message(const Json& message, const std::string& path) {
  const Fields fields(message, path);
  fields.require_string("role");
  std::string role =
      *fields.choice("role", {"system", "developer", "user", "assistant", "tool", "function"});
  if (role == "developer") role = "system";
  Json out = message;
  out["role"] = role;
  const Json* content = fields.find("content");
  const Json* calls = fields.array("tool_calls");
  if (content && content->is_array()) {
    out["content"] = text_of_parts(*content, fields.path_of("content"));
  } else if (content && !content->is_string()) {
    fields.string("content");
  } else if (!content) {
    if (role != "assistant") fields.require_string("content");
    out["content"] = "";
  }
  if (calls) {
    out["tool_calls"] = normalise_calls(*calls, fields.path_of("tool_calls"));
  } else {
    out.erase("tool_calls");
  }
  return out;
}

// A call, or what the format asks for (null: a call and nothing else). Where the model decides, a
// format would otherwise keep it from calling.
std::shared_ptr<engine::TokenConstraint> with_calls(
    const ConstraintCompiler& compiler, ToolRules rules,
    std::shared_ptr<engine::TokenConstraint> format) {
  if (!format) return compiler.compile_tools(rules);
  rules.use = ToolUse::kRequired;
  return std::make_shared<EitherConstraint>(std::vector<std::shared_ptr<engine::TokenConstraint>>{
      std::move(format), compiler.compile_tools(rules)});
}

void check_tools(const Json& tools) {
  if (tools.size() > kToolsMax) {
    throw_error(ErrorCode::kInvalidArgument, "tools", "'tools': at most {}, got {}", kToolsMax,
                tools.size());
  }
  for (size_t i = 0; i < tools.size(); ++i) {
    const Fields tool(tools[i], fmt::format("tools[{}]", i));
    tool.require_string("type");
    tool.choice("type", {"function"});
    const Json* function = tool.object("function");
    if (!function) {
      throw_error(ErrorCode::kInvalidArgument, tool.path_of("function"),
                  "'{}' is missing: expected an object", tool.path_of("function"));
    }
    check_function(Fields(*function, tool.path_of("function")));
  }
}

// "none", "auto", "required", or an object with the name of one tool.
void read_tool_choice(const Fields& fields, ChatJob& job) {
  const Json* choice = fields.find("tool_choice");
  if (!choice) return;
  if (choice->is_object()) {
    const Fields outer(*choice, "tool_choice");
    const Json* function = outer.object("function");
    job.named_tool =
        Fields(function ? *function : *choice, function ? "tool_choice.function" : "tool_choice")
            .require_string("name");
    job.tool_use = ToolUse::kNamed;
    return;
  }
  const std::string word = *fields.choice("tool_choice", {"none", "auto", "required"});
  if (word == "none") job.tool_use = ToolUse::kNone;
  if (word == "required") job.tool_use = ToolUse::kRequired;
}

void check_tool_choice(const ChatJob& job) {
  const bool needs_one = job.tool_use == ToolUse::kRequired || job.tool_use == ToolUse::kNamed;
  if (needs_one && job.tools.empty()) {
    throw_error(ErrorCode::kInvalidArgument, "tool_choice",
                "'tool_choice' asks for a tool, and 'tools' has none");
  }
  if (job.tool_use != ToolUse::kNamed) return;
  const bool known = std::any_of(job.tools.begin(), job.tools.end(), [&](const Json& tool) {
    return tool["function"]["name"] == job.named_tool;
  });
  if (!known) {
    throw_error(ErrorCode::kInvalidArgument, "tool_choice",
                "'tool_choice' names the tool '{}', and 'tools' has none of that name",
                job.named_tool);
  }
}

}  // namespace

Json normalise_messages(const Json& messages, const std::string& path) {
  if (messages.empty()) {
    throw_error(ErrorCode::kInvalidArgument, path, "'{}': expected at least one message", path);
  }
  Json out = Json::array();
  for (size_t i = 0; i < messages.size(); ++i) {
    out.push_back(normalise_message(messages[i], fmt::format("{}[{}]", path, i)));
  }
  return out;
}

void check_function(const Fields& function) {
  const std::string name = function.require_string("name");
  const bool legal = !name.empty() && name.size() <= kFunctionNameMax &&
                     std::all_of(name.begin(), name.end(), [](unsigned char c) {
                       return std::isalnum(c) || c == '_' || c == '-' || c == '.';
                     });
  if (!legal) {
    throw_error(ErrorCode::kInvalidArgument, function.path_of("name"),
                "'{}': expected 1 to {} letters, digits, '_', '-' or '.', got '{}'",
                function.path_of("name"), kFunctionNameMax, name);
  }
  function.object("parameters");
}

void read_tools(const Fields& fields, ChatJob& job) {
  const Json* tools = fields.array("tools");
  job.tool_use = ToolUse::kNone;
  if (tools && !tools->empty()) {
    check_tools(*tools);
    job.tool_use = ToolUse::kAuto;
    job.tools = *tools;
  }
  job.parallel_tool_calls = fields.boolean("parallel_tool_calls").value_or(true);
  read_tool_choice(fields, job);
  check_tool_choice(job);
}

ChatPrompt make_chat_prompt(const App& app, const ChatJob& job) {
  if (!app.model.chat) {
    throw_error(ErrorCode::kUnsupported, "model",
                "the model '{}' has no chat template; use /v1/completions", app.model.name);
  }
  ChatInput input;
  input.messages = &job.messages;
  // With tool_choice "none" the model is not shown the tools at all, as OpenAI does it.
  if (!job.tools.is_null() && job.tool_use != ToolUse::kNone) input.tools = &job.tools;
  if (!job.template_kwargs.is_null()) input.template_kwargs = &job.template_kwargs;
  input.add_generation_prompt = job.add_generation_prompt;
  input.continue_final_message = job.continue_final_message;
  return app.model.chat->prompt(input);
}

GenerationRequest make_generation(const App& app, const ChatJob& job) {
  ChatPrompt prompt = make_chat_prompt(app, job);
  const ToolRules rules{job.tool_use, job.tools.is_null() ? nullptr : &job.tools, job.named_tool,
                        job.parallel_tool_calls};
  GenerationRequest out;
  out.prompts.push_back(make_prompt(job.fields, app.model, std::move(prompt.tokens)));
  engine::Request& request = out.prompts[0];
  const bool forced = job.tool_use == ToolUse::kRequired || job.tool_use == ToolUse::kNamed;
  if (forced && !app.model.constraints) {
    throw_error(ErrorCode::kUnsupported, "tool_choice",
                "this model was loaded without structured output");
  }
  if (forced) request.constraints.assign(static_cast<size_t>(request.choices), nullptr);
  if (job.tool_use != ToolUse::kNone) {
    for (auto& constraint : request.constraints) {
      constraint = with_calls(*app.model.constraints, rules, std::move(constraint));
    }
  }
  out.stops = job.fields.stops;
  for (std::string& stop : app.model.chat->stops()) out.stops.push_back(std::move(stop));
  // The markers of tool calls are special tokens in many models.
  const bool marked = job.tool_use != ToolUse::kNone || app.model.chat->marks_with_special_tokens();
  out.skip_special_tokens = job.fields.skip_special_tokens && !marked;
  out.logprobs = job.logprobs;
  out.token_ids = job.fields.token_ids;
  for (int32_t i = 0; i < request.choices; ++i) {
    out.parsers.push_back(app.model.chat->parser(rules, prompt.text));
  }
  return out;
}

}  // namespace hearth::serve
