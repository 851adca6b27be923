#include "tokenizer/chat_template.h"

#include <gtest/gtest.h>
#include <string>

#include "base/error.h"
#include "io/json.h"

namespace hearth::tokenizer {
namespace {

using io::Json;

constexpr const char* kChatMl =
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

constexpr const char* kStrict =
    "{{ bos_token }}{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}[{{ m.role }}] {{ m.content }}"
    "{% endfor %}";

constexpr const char* kTools =
    "{% if tools %}TOOLS {{ tools | tojson }}\n{% endif %}{% for m in messages %}"
    "{{ m.role }}: {% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}"
    "{{ p.text }}{% endfor %}{% endif %}{% for c in m.tool_calls or [] %}"
    "CALL {{ c.function.name }} {{ c.function.arguments | tojson }}{% endfor %}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}";

ChatTemplate of(const char* source) {
  return ChatTemplate::from_config({{"chat_template", source}, {"bos_token", "<s>"}}, "config");
}

Json parse(const char* text) { return io::parse_json(text, "test"); }

std::string render(const ChatTemplate& chat, const char* messages) {
  const Json parsed = parse(messages);
  return chat.render({.messages = parsed});
}

TEST(ChatTemplate, ProbesWhatATemplateCan) {
  const ChatTemplate chatml = of(kChatMl);
  EXPECT_TRUE(chatml.capabilities().system_role);
  EXPECT_FALSE(chatml.capabilities().tools);
  EXPECT_FALSE(chatml.capabilities().content_parts);
  EXPECT_FALSE(chatml.capabilities().null_content);
  EXPECT_FALSE(chatml.capabilities().alternate_roles);
  EXPECT_TRUE(of(kStrict).capabilities().alternate_roles);
  EXPECT_FALSE(of(kStrict).capabilities().system_role);
  const ChatTemplate tools = of(kTools);
  EXPECT_TRUE(tools.capabilities().tools);
  EXPECT_TRUE(tools.capabilities().tool_calls);
  EXPECT_TRUE(tools.capabilities().tool_role);
  EXPECT_TRUE(tools.capabilities().content_parts);
  EXPECT_TRUE(tools.capabilities().object_arguments);
}

TEST(ChatTemplate, FlattensPartsWhereTheTemplateWantsText) {
  EXPECT_EQ(render(of(kChatMl), R"([{"role": "user", "content": [
                {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}])"),
            "<|im_start|>user\na\nb<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplate, GivesArgumentsAsObjects) {
  EXPECT_EQ(render(of(kTools), R"([{"role": "assistant", "content": null, "tool_calls": [
                {"function": {"name": "f", "arguments": "{\"a\": 1}"}}]}])"),
            "assistant: CALL f {\"a\": 1}assistant: ");
}

TEST(ChatTemplate, FoldsASystemMessageTheTemplateRefuses) {
  EXPECT_EQ(render(of(kStrict), R"([{"role": "system", "content": "Be brief."},
                                    {"role": "user", "content": "Hi"}])"),
            "<s>[user] Be brief.\n\nHi");
}

TEST(ChatTemplate, PassesOnARefusal) {
  try {
    render(of(kStrict), R"([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}])");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(error.text, "roles must alternate");
  }
}

TEST(ChatTemplate, ContinuesTheFinalMessage) {
  const Json messages =
      parse(R"([{"role": "user", "content": "a"}, {"role": "assistant", "content": "The "}])");
  EXPECT_EQ(of(kChatMl).render({.messages = messages, .continue_final_message = true}),
            "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nThe ");
}

TEST(ChatTemplate, PicksTheNamedTemplateForTools) {
  const ChatTemplate chat = ChatTemplate::from_config(
      parse(R"({"chat_template": [{"name": "default", "template": "plain"},
                                  {"name": "tool_use", "template": "with {{ tools|length }}"}]})"),
      "config");
  const Json messages = parse(R"([{"role": "user", "content": "a"}])");
  const Json tools = parse(R"([{"type": "function", "function": {"name": "f"}}])");
  EXPECT_EQ(chat.render({.messages = messages}), "plain");
  EXPECT_EQ(chat.render({.messages = messages, .tools = &tools}), "with 1");
}

TEST(ChatTemplate, FallsBackToATranscript) {
  const ChatTemplate chat = ChatTemplate::from_config(Json::object(), "config");
  EXPECT_TRUE(chat.is_fallback());
  EXPECT_EQ(
      render(chat, R"([{"role": "system", "content": "S"}, {"role": "user", "content": "a"}])"),
      "System: S\n\nUser: a\n\nAssistant:");
  EXPECT_FALSE(chat.stops().empty());
}

TEST(ChatTemplate, GivesKwargsToTheTemplate) {
  const Json messages = Json::array();
  const Json kwargs = {{"enable_thinking", false}};
  EXPECT_EQ(of("{{ enable_thinking }}").render({.messages = messages, .kwargs = &kwargs}), "False");
}

TEST(ChatTemplate, NamesTheFileOfABrokenTemplate) {
  try {
    of("{% if %}");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.where, "config: chat template line 1, column 7");
  }
}

}  // namespace
}  // namespace hearth::tokenizer
