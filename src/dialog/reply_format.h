// What a model's replies look like: where reasoning stands and how tools are called. Read off the
// chat template, since that is where the model's makers wrote it down.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "io/json_fwd.h"

namespace hearth::dialog {

enum class ToolSyntax {
  kHermes,   // <tool_call>{"name": ..., "arguments": {...}}</tool_call>, any number of them
  kLlama,    // {"name": ..., "parameters": {...}}, after <|python_tag|> or at the very start
  kMistral,  // [TOOL_CALLS][{"name": ..., "arguments": {...}}, ...], or [TOOL_CALLS]name[ARGS]{...}
  kPhi,      // functools[{...}, ...] or <|tool_call|>[{...}]<|/tool_call|>
  kDeepSeek,  // <｜tool▁call▁begin｜>function<｜tool▁sep｜>name, then the arguments in a JSON fence
  kXml,       // <tool_call><function=name><parameter=key>value</parameter></function></tool_call>
  kPythonic,  // [name(argument=value, ...), ...]
  kGeneric,   // Hermes, asked for by Hearth itself: the template knows no tools
};

struct ReplyFormat {
  ToolSyntax tools = ToolSyntax::kGeneric;
  std::string think_start;  // empty: replies have no reasoning section
  std::string think_end;
};

ReplyFormat detect_format(std::string_view chat_template);

// Messages for a model whose template knows no tools: they are described in the system message,
// calls become text in assistant messages, results become user messages.
io::Json describe_tools(const io::Json& messages, const io::Json& tools);

enum class ToolChoice {
  kRequired,  // any of the tools
  kNamed,     // the one that is named
};

// What a forced reply is held to: `prefix`, then a JSON text that matches `schema`, then `suffix`.
// Plain data for a grammar compiler.
struct ForcedFormat {
  std::string prefix;
  std::string schema;  // a JSON schema, as JSON text
  std::string suffix;
};

enum class Calls { kOne, kMany };

// `tools` is OpenAI's array; `named` counts for kNamed only. Throws Error{kInvalidArgument} when it
// names none of them, or when there are none. Syntaxes of one object per call are held to one call.
ForcedFormat forced_format(ToolSyntax syntax, const io::Json& tools, ToolChoice choice,
                           const std::string& named, Calls calls);

}  // namespace hearth::dialog
