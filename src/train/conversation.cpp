#include "train/conversation.h"

#include <algorithm>

#include "io/json.h"

namespace hearth::train {
namespace {

using tokenizer::AddSpecial;
using tokenizer::ParseSpecial;

size_t common_prefix(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
  const auto [at, other] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<size_t>(at - a.begin());
}

bool learned_turn(const io::Json& message) {
  return message.value("role", std::string()) == "assistant" && message.value("weight", 1) != 0;
}

}  // namespace

int64_t MarkedTokens::learned() const { return std::count(learn.begin(), learn.end(), 1); }

// The first `count` messages; with `asks` up to where the assistant begins to speak.
std::vector<int32_t> ConversationEncoder::render(const io::Json& messages, size_t count, bool asks,
                                                 const io::Json* tools) const {
  io::Json head = io::Json::array();
  for (size_t i = 0; i < count; ++i) head.push_back(messages[i]);
  const std::string text =
      chat_.render({.messages = head, .tools = tools, .add_generation_prompt = asks});
  return tokenizer_.encode(text, AddSpecial::kNo, ParseSpecial::kAsTokens);
}

ConversationEncoder::Turn ConversationEncoder::turn(const io::Json& messages, size_t at,
                                                    const io::Json* tools) const {
  Turn turn;
  turn.tokens = render(messages, at + 1, false, tools);
  turn.begin = common_prefix(render(messages, at, true, tools), turn.tokens);
  // A line break behind the mark that ends the turn is the template's, not the assistant's.
  turn.end = turn.tokens.size();
  for (size_t i = turn.tokens.size(); i > turn.begin; --i) {
    if (!tokenizer_.is_special(turn.tokens[i - 1])) continue;
    turn.end = i;
    break;
  }
  return turn;
}

std::vector<MarkedTokens> ConversationEncoder::encode(const io::Json& messages, size_t first,
                                                      const io::Json* tools) const {
  MarkedTokens whole;
  whole.tokens = render(messages, messages.size(), false, tools);
  whole.learn.assign(whole.tokens.size(), 0);
  std::vector<MarkedTokens> apart;
  for (size_t i = first; i < messages.size(); ++i) {
    if (!learned_turn(messages[i])) continue;
    Turn turn = this->turn(messages, i, tools);
    const auto mark = [&](std::vector<uint8_t>& learn) {
      std::fill(learn.begin() + static_cast<ptrdiff_t>(turn.begin),
                learn.begin() + static_cast<ptrdiff_t>(turn.end), uint8_t{1});
    };
    if (common_prefix(turn.tokens, whole.tokens) >= turn.end) {
      mark(whole.learn);
      continue;
    }
    MarkedTokens alone{std::move(turn.tokens), {}};
    alone.learn.assign(alone.tokens.size(), 0);
    mark(alone.learn);
    apart.push_back(std::move(alone));
  }
  if (whole.learned() > 0) apart.push_back(std::move(whole));
  return apart;
}

MarkedTokens ConversationEncoder::encode_text(std::string_view prompt,
                                              std::string_view text) const {
  MarkedTokens out;
  if (!prompt.empty())
    out.tokens = tokenizer_.encode(prompt, AddSpecial::kYes, ParseSpecial::kAsText);
  out.learn.assign(out.tokens.size(), 0);
  const AddSpecial add = prompt.empty() ? AddSpecial::kYes : AddSpecial::kNo;
  for (int32_t token : tokenizer_.encode(text, add, ParseSpecial::kAsText)) {
    out.tokens.push_back(token);
    out.learn.push_back(1);
  }
  if (tokenizer_.eos_id() != tokenizer::kNoToken) {
    out.tokens.push_back(tokenizer_.eos_id());
    out.learn.push_back(1);
  }
  return out;
}

}  // namespace hearth::train
