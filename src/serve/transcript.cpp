#include "serve/transcript.h"

#include "base/check.h"
#include "io/json.h"

namespace hearth::serve {

using io::Json;

namespace {

Json bytes_json(const std::string& bytes) {
  Json out = Json::array();
  for (const char c : bytes) out.push_back(static_cast<unsigned char>(c));
  return out;
}

// JSON has no infinity; -9999 is what OpenAI sends for the impossible.
double finite(float logprob) { return logprob > -9999.0f ? logprob : -9999.0; }

}  // namespace

void ChoiceText::add(const ReplyPart& part, const std::string& id) {
  switch (part.kind) {
    case ReplyPart::Kind::kText:
      text += part.text;
      return;
    case ReplyPart::Kind::kReasoning:
      reasoning += part.text;
      return;
    case ReplyPart::Kind::kToolCall:
      calls.push_back({id, part.name, part.text});
      return;
    case ReplyPart::Kind::kToolArguments:
      CHECK(part.tool_index >= 0 && static_cast<size_t>(part.tool_index) < calls.size(),
            "arguments of call {}, and {} have begun", part.tool_index, calls.size());
      calls[static_cast<size_t>(part.tool_index)].arguments += part.text;
      return;
  }
}

void ChoiceText::add_tokens(Piece& piece) {
  std::move(piece.tokens.begin(), piece.tokens.end(), std::back_inserter(tokens));
  token_ids.insert(token_ids.end(), piece.token_ids.begin(), piece.token_ids.end());
}

Json usage_json(const Totals& totals) {
  return {{"prompt_tokens", totals.prompt_tokens},
          {"completion_tokens", totals.output_tokens},
          {"total_tokens", totals.prompt_tokens + totals.output_tokens},
          {"prompt_tokens_details", {{"cached_tokens", totals.cached_tokens}}},
          {"completion_tokens_details", {{"reasoning_tokens", totals.reasoning_tokens}}}};
}

std::string finish_reason(const ChoiceEnd& end, bool called_tools) {
  if (end.reason == engine::FinishReason::kStop && called_tools) return "tool_calls";
  return engine::to_string(end.reason);
}

Json stop_reason_json(const ChoiceEnd& end) {
  if (end.stop_string) return *end.stop_string;
  if (end.stop_token) return *end.stop_token;
  return nullptr;
}

Json logprob_json(const TokenText& token) {
  Json top = Json::array();
  for (const Alternative& other : token.top) {
    top.push_back({{"token", other.bytes},
                   {"logprob", finite(other.logprob)},
                   {"bytes", bytes_json(other.bytes)}});
  }
  return {{"token", token.bytes},
          {"logprob", finite(token.logprob)},
          {"bytes", bytes_json(token.bytes)},
          {"top_logprobs", std::move(top)}};
}

Json logprobs_json(const std::vector<TokenText>& tokens) {
  Json content = Json::array();
  for (const TokenText& token : tokens) content.push_back(logprob_json(token));
  return {{"content", std::move(content)}};
}

}  // namespace hearth::serve
