// The real tokenizer, template, reply parser and grammars behind serve's interfaces, on a model
// that is made here: one token a byte, ChatML, Hermes tool calls.
#include "serve/language_of_files.h"

#include <gtest/gtest.h>

#include "io/json.h"

namespace hearth::serve {
namespace {

using io::Json;

constexpr TokenId kEnd = 257;

// GPT-2's spelling of a byte.
std::string spelled(int byte) {
  const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  int code = byte;
  if (!printable) code = 256 + (byte < 33 ? byte : byte <= 160 ? byte - 127 + 33 : 67);
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 63))};
}

Json added(int id, const char* content, bool special) {
  return {{"id", id},        {"content", content}, {"special", special}, {"single_word", false},
          {"lstrip", false}, {"rstrip", false},    {"normalized", false}};
}

constexpr const char* kTemplate =
    "{% if tools %}<|im_start|>system\n<tool_call>{{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for c in m.tool_calls or [] %}<tool_call>{{ c.function | tojson }}</tool_call>{% endfor %}"
    "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

class LanguageTest : public testing::Test {
 protected:
  LanguageTest() {
    Json vocab = Json::object();
    for (int byte = 0; byte < 256; ++byte) vocab[spelled(byte)] = byte;
    const Json file = {
        {"version", "1.0"},
        {"added_tokens",
         Json::array({added(256, "<|im_start|>", true), added(257, "<|im_end|>", true),
                      added(258, "<tool_call>", false), added(259, "</tool_call>", false)})},
        {"normalizer", nullptr},
        {"pre_tokenizer",
         {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}},
        {"post_processor", nullptr},
        {"decoder", {{"type", "ByteLevel"}}},
        {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}}}};
    const Json config = {{"chat_template", kTemplate}, {"eos_token", "<|im_end|>"}};
    language_ =
        make_language(tokenizer::Tokenizer::from_json(io::dump_json(file)),
                      std::make_shared<tokenizer::ChatTemplate>(
                          tokenizer::ChatTemplate::from_config(config, "tokenizer_config.json")),
                      {.ends = {kEnd}, .vocabulary = 260}, clock_);
  }

  // Takes the first allowed token of `wish`, or else the lowest allowed, until the end.
  std::vector<TokenId> follow(engine::TokenConstraint& constraint, const std::string& wish) {
    std::vector<TokenId> out;
    std::vector<uint32_t> allowed(9);
    size_t at = 0;
    while (out.size() < 200) {
      constraint.fill(allowed);
      const auto may = [&](TokenId id) { return allowed[size_t(id) / 32] >> (id % 32) & 1; };
      TokenId token = 0;
      if (at < wish.size() && may(static_cast<unsigned char>(wish[at]))) {
        token = static_cast<unsigned char>(wish[at++]);
      } else {
        while (token < 260 && !may(token)) ++token;
      }
      if (token == 260) break;
      EXPECT_TRUE(constraint.accept(token));
      if (token == kEnd) break;
      out.push_back(token);
    }
    return out;
  }

  FakeClock clock_;
  Language language_;
};

TEST_F(LanguageTest, RendersAndTokenisesAChat) {
  const Json messages = Json::array({{{"role", "user"}, {"content", "hi"}}});
  ChatInput input;
  input.messages = &messages;
  const ChatPrompt prompt = language_.chat->prompt(input);
  EXPECT_EQ(prompt.text, "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(prompt.tokens.front(), 256);
  EXPECT_EQ(language_.codec->decode(prompt.tokens, SpecialTokens::kKeep), prompt.text);
}

// SentencePiece's decoder drops the space at the start of a text, not where a text goes on.
TEST_F(LanguageTest, ACompletionKeepsItsFirstSpace) {
  const std::shared_ptr<const tokenizer::Tokenizer> pieces = tokenizer::Tokenizer::from_json(R"({
"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},
{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},
"added_tokens":[{"id":1,"content":"<s>","special":true}],
"model":{"type":"BPE","vocab":{"<unk>":0,"<s>":1,"▁":2,"a":3,"▁a":4},"merges":["▁ a"]}})");
  const Language language =
      make_language(pieces,
                    std::make_shared<tokenizer::ChatTemplate>(tokenizer::ChatTemplate::from_config(
                        {{"chat_template", kTemplate}}, "tokenizer_config.json")),
                    {.ends = {}, .vocabulary = 5}, clock_);
  const auto first = [&](std::vector<TokenId> before) {
    return language.codec->stream(before, SpecialTokens::kSkip)->feed(4);
  };
  EXPECT_EQ(first({1, 4}), " a");
  EXPECT_EQ(first({1}), "a");
  EXPECT_EQ(first({}), "a");
}

TEST_F(LanguageTest, HoldsTextToASchema) {
  const auto constraint = language_.constraints->compile(
      {ConstraintSpec::Kind::kJsonSchema,
       R"({"type":"object","properties":{"ok":{"type":"boolean"}},"required":["ok"],"additionalProperties":false})",
       {}},
      "response_format");
  const auto tokens = follow(*constraint, "{\"ok\":true}");
  EXPECT_EQ(language_.codec->decode(tokens, SpecialTokens::kSkip), "{\"ok\":true}");
  EXPECT_THROW(
      language_.constraints->compile({ConstraintSpec::Kind::kRegex, "(", {}}, "guided_regex"),
      Error);
}

TEST_F(LanguageTest, AForcedCallIsWhatTheParserReads) {
  const Json tools = Json::parse(R"([{"type":"function","function":{"name":"add","parameters":
      {"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}}}])");
  const ToolRules rules{ToolUse::kRequired, &tools, {}, false};
  const auto constraint = language_.constraints->compile_tools(rules);
  const auto tokens = follow(*constraint, "{\"name\": \"add\", \"arguments\": {\"a\": 1}}");
  const auto parser = language_.chat->parser(rules, "");
  const auto stream = language_.codec->stream({}, SpecialTokens::kKeep);
  std::string name;
  std::string arguments;
  const auto take = [&](const std::vector<ReplyPart>& parts) {
    for (const ReplyPart& part : parts) {
      if (part.kind == ReplyPart::Kind::kToolCall) name = part.name;
      if (part.kind == ReplyPart::Kind::kToolArguments) arguments += part.text;
    }
  };
  for (const TokenId token : tokens) take(parser->feed(stream->feed(token)));
  take(parser->feed(stream->finish()));
  take(parser->finish());
  EXPECT_EQ(name, "add") << language_.codec->decode(tokens, SpecialTokens::kKeep);
  EXPECT_TRUE(Json::parse(arguments).contains("a")) << arguments;
}

}  // namespace
}  // namespace hearth::serve
