// What a whole reply said, put together from its pieces; for answers that are not streamed, and for
// the end of those that are.
#pragma once

#include <string>
#include <vector>

#include "io/json_fwd.h"
#include "serve/generation.h"

namespace hearth::serve {

struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;
};

struct ChoiceText {
  std::string text;
  std::string reasoning;
  std::vector<ToolCall> calls;
  std::vector<TokenText> tokens;
  std::vector<TokenId> token_ids;
  ChoiceEnd end;

  // `id` names the call if `part` begins one.
  void add(const ReplyPart& part, const std::string& id);
  // Takes what a piece knows of its tokens.
  void add_tokens(Piece& piece);
};

// OpenAI's usage object.
io::Json usage_json(const Totals& totals);

// "stop", "length", "tool_calls", "abort".
std::string finish_reason(const ChoiceEnd& end, bool called_tools);

// The stop string or token that ended a choice, or null.
io::Json stop_reason_json(const ChoiceEnd& end);

// A token's text where only part of a character is known shows U+FFFD; `bytes` has the truth.
io::Json logprob_json(const TokenText& token);
// {"content": [...]} of chat.
io::Json logprobs_json(const std::vector<TokenText>& tokens);

}  // namespace hearth::serve
