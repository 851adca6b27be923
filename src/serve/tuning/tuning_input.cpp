#include "serve/tuning/tuning_input.h"

#include <algorithm>

#include "base/error.h"
#include "io/json.h"
#include "serve/fields.h"
#include "serve/files/line_reader.h"

namespace hearth::serve {
namespace {

using io::Json;

void check_messages(const Json& messages, const std::string& path) {
  if (!messages.is_array() || messages.empty()) {
    throw_error(ErrorCode::kInvalidArgument, path, "'{}': expected a list of messages, got {}",
                path, brief(messages));
  }
  for (size_t i = 0; i < messages.size(); ++i) {
    Fields(messages[i], fmt::format("{}[{}]", path, i)).require_string("role");
  }
}

bool has_reply(const Json& messages) {
  return std::any_of(messages.begin(), messages.end(),
                     [](const Json& message) { return message["role"] == "assistant"; });
}

void check_supervised(const Json& line) {
  const Fields fields(line);
  if (fields.has("messages")) {
    check_messages(*fields.find("messages"), "messages");
    if (has_reply(*fields.find("messages"))) return;
    throw_error(ErrorCode::kInvalidArgument, "messages",
                "'messages' has none of the role assistant: there is nothing to learn");
  }
  if (fields.has("completion")) {
    fields.require_string("completion");
    fields.string("prompt");
  } else if (!fields.string("text")) {
    throw_error(ErrorCode::kInvalidArgument, "",
                "expected \"messages\", \"prompt\" and \"completion\", or \"text\"");
  }
}

void check_preference(const Json& line) {
  const Fields fields(line);
  if (const Json* input = fields.object("input")) {
    check_messages(Fields(*input, "input").require_array("messages"), "input.messages");
    check_messages(fields.require_array("preferred_output"), "preferred_output");
    check_messages(fields.require_array("non_preferred_output"), "non_preferred_output");
    return;
  }
  if (!fields.has("chosen") || !fields.has("rejected")) {
    throw_error(ErrorCode::kInvalidArgument, "",
                "expected \"input\", \"preferred_output\" and \"non_preferred_output\", or "
                "\"prompt\", \"chosen\" and \"rejected\"");
  }
}

}  // namespace

int64_t count_examples(const std::string& path, const std::string& method, int64_t line_bytes_max) {
  LineReader lines(path, line_bytes_max);
  int64_t count = 0;
  try {
    while (lines.next()) {
      if (lines.blank()) continue;
      const Json line = io::parse_json(lines.text(), "");
      method == "dpo" ? check_preference(line) : check_supervised(line);
      ++count;
    }
  } catch (const Error& error) {
    throw_error(ErrorCode::kInvalidArgument, error.where, "line {}: {}", lines.number(),
                error.text);
  }
  if (count == 0) throw_error(ErrorCode::kInvalidArgument, "", "the file has no examples");
  return count;
}

}  // namespace hearth::serve
