// A conversation that wants a reply, whichever API it came through: chat completions, responses and
// messages all become this.
#pragma once

#include <string>

#include "io/json.h"
#include "serve/app.h"
#include "serve/generation_fields.h"

namespace hearth::serve {

struct ChatJob {
  io::Json messages = io::Json::array();  // OpenAI's chat shape, normalised
  io::Json tools;                         // OpenAI's array, or null
  ToolUse tool_use = ToolUse::kNone;
  std::string named_tool;
  bool parallel_tool_calls = true;
  io::Json template_kwargs;  // or null
  bool add_generation_prompt = true;
  bool continue_final_message = false;
  bool logprobs = false;
  GenerationFields fields;
};

// Checks the shape of chat messages and brings them to the form that templates expect: text parts
// are joined, tool arguments are objects. `path` is the field's name, for errors.
io::Json normalise_messages(const io::Json& messages, const std::string& path);
// tools, tool_choice and parallel_tool_calls in OpenAI's chat shape.
void read_tools(const Fields& fields, ChatJob& job);
// Checks one function declaration.
void check_function(const Fields& function);

// Renders, tokenises, compiles constraints.
GenerationRequest make_generation(const App& app, const ChatJob& job);
// Only the prompt.
ChatPrompt make_chat_prompt(const App& app, const ChatJob& job);

}  // namespace hearth::serve
