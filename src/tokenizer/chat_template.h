// Conversations to prompts: a model's chat template, rendered as transformers' apply_chat_template
// renders it, with what a template can not take adapted first (docs/chat_templates.md).
//
// Immutable after construction; render is safe from many threads.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/file_source.h"
#include "io/json_fwd.h"
#include "tokenizer/jinja/template.h"

namespace hearth::tokenizer {

// Found by rendering small conversations when the template is loaded.
struct ChatCapabilities {
  bool system_role = false;      // system messages reach the prompt
  bool tools = false;            // the `tools` argument reaches the prompt
  bool tool_role = false;        // tool results reach the prompt
  bool tool_calls = false;       // an assistant's calls reach the prompt
  bool object_arguments = true;  // arguments of calls are given as objects, else as JSON text
  bool content_parts = false;    // content may be a list of parts
  bool content_text = true;      // content may be a string
  bool null_content = false;     // content may be null beside tool calls
  bool empty_content = true;     // content may be empty beside tool calls
  bool alternate_roles = false;  // user and assistant must take turns
  bool reasoning = false;        // the template knows a thinking section
};

struct ChatTemplateText {
  std::map<std::string, std::string> named;  // "default", "tool_use", ...
  // bos_token, eos_token and the like, as text; a JSON object or null.
  std::shared_ptr<const io::Json> special_tokens;
  std::string where;  // the file it came from, for errors
};

struct ChatRender {
  const io::Json& messages;             // OpenAI's array
  const io::Json* tools = nullptr;      // OpenAI's array; null: none
  const io::Json* documents = nullptr;  // null: none
  const io::Json* kwargs = nullptr;     // more variables, such as enable_thinking; null: none
  bool add_generation_prompt = true;    // end where the assistant starts to speak
  bool continue_final_message = false;  // end inside the last message, to go on with it
  int64_t now_seconds = 0;              // for strftime_now
};

class ChatTemplate {
 public:
  // Without any template, the plain fallback. Throws Error naming the template and the line.
  explicit ChatTemplate(ChatTemplateText text);

  // Reads chat_template.jinja, chat_template.json or tokenizer_config.json of a model's files,
  // in this order, as transformers does; special tokens come from tokenizer_config.json. Of a GGUF
  // file: tokenizer.chat_template and its named ones.
  static ChatTemplate load(io::FileSource& files);
  // From `chat_template` of a tokenizer_config.json: a string, or a list of named templates.
  static ChatTemplate from_config(const io::Json& config, const std::string& where);

  // Throws Error{kInvalidArgument} with what the template raised.
  std::string render(const ChatRender& input) const;

  const ChatCapabilities& capabilities() const { return capabilities_; }
  // The text of the template that serves requests with tools, or the default one.
  const std::string& source() const;
  // All of them by name: "default", "tool_use", ...
  std::map<std::string, std::string> sources() const;
  bool is_fallback() const { return fallback_; }
  // What ends a turn where the template has no end token: the fallback's next speaker.
  std::vector<std::string> stops() const;

 private:
  struct Entry {
    std::string source;
    jinja::Template parsed;
  };
  enum class Purpose { kPlain, kTools };

  const Entry& pick(Purpose purpose) const;
  std::string render_raw(const ChatRender& input, Purpose purpose) const;
  bool shows(const io::Json& messages, const io::Json* tools, const std::string& needle) const;
  ChatCapabilities probe() const;
  io::Json adapt(const io::Json& messages) const;

  std::map<std::string, Entry> entries_;
  std::shared_ptr<const io::Json> special_tokens_;
  std::string where_;
  bool fallback_ = false;
  ChatCapabilities capabilities_;
};

}  // namespace hearth::tokenizer
