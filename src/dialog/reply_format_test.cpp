#include "dialog/reply_format.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "io/json.h"

namespace hearth::dialog {
namespace {

using io::Json;

Json parse(const char* text) { return io::parse_json(text, "test"); }

Json tools() {
  return parse(R"([{"type": "function", "function": {"name": "f",
                    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}},
                   {"type": "function", "function": {"name": "g"}}])");
}

TEST(DetectFormat, ReadsTheTemplate) {
  EXPECT_EQ(detect_format("... <tool_call> ...").tools, ToolSyntax::kHermes);
  EXPECT_EQ(detect_format("<tool_call>\n<function=f>\n<parameter=a>").tools, ToolSyntax::kXml);
  EXPECT_EQ(detect_format("{{ '[TOOL_CALLS][' }}").tools, ToolSyntax::kMistral);
  EXPECT_EQ(detect_format("<|python_tag|>").tools, ToolSyntax::kLlama);
  EXPECT_EQ(detect_format("<｜tool▁calls▁begin｜>").tools, ToolSyntax::kDeepSeek);
  EXPECT_EQ(detect_format("plain").tools, ToolSyntax::kGeneric);
  EXPECT_EQ(detect_format("plain").think_end, "");
  EXPECT_EQ(detect_format("split('</think>')").think_start, "<think>");
}

TEST(DescribeTools, TellsAModelThatKnowsNone) {
  const Json messages = parse(R"([
      {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"},
      {"role": "assistant", "content": null, "tool_calls": [
          {"function": {"name": "f", "arguments": "{\"a\": 1}"}}, {"function": {"name": "g"}}]},
      {"role": "tool", "content": "one"}, {"role": "tool", "content": "two"}])");
  const Json out = describe_tools(messages, tools());
  ASSERT_EQ(out.size(), 4u);
  const std::string system = out[0]["content"];
  EXPECT_TRUE(system.starts_with("Be brief.\n\n"));
  EXPECT_NE(system.find(R"({"name":"f",)"), std::string::npos);
  EXPECT_EQ(out[2]["content"],
            "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>\n"
            "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>");
  EXPECT_EQ(out[3]["content"],
            "<tool_response>\none\n</tool_response>\n<tool_response>\ntwo\n</tool_response>");
}

TEST(ForcedFormat, HoldsTheReplyToTheNamedTool) {
  const ForcedFormat format =
      forced_format(ToolSyntax::kHermes, tools(), ToolChoice::kNamed, "f", Calls::kOne);
  EXPECT_EQ(format.prefix, "<tool_call>\n");
  EXPECT_EQ(format.suffix, "\n</tool_call>");
  const Json schema = parse(format.schema.c_str());
  EXPECT_EQ(schema["properties"]["name"]["const"], "f");
  EXPECT_EQ(schema["properties"]["arguments"]["properties"]["a"]["type"], "integer");
}

TEST(ForcedFormat, OffersEveryToolWhereAnyWillDo) {
  const ForcedFormat format =
      forced_format(ToolSyntax::kMistral, tools(), ToolChoice::kRequired, "", Calls::kMany);
  const Json schema = parse(format.schema.c_str());
  EXPECT_EQ(schema["items"]["anyOf"].size(), 2u);
  EXPECT_EQ(schema["minItems"], 1);
  EXPECT_FALSE(schema.contains("maxItems"));
}

TEST(ForcedFormat, RefusesAToolThatIsNotThere) {
  try {
    forced_format(ToolSyntax::kHermes, tools(), ToolChoice::kNamed, "h", Calls::kOne);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.where, "tool_choice");
  }
}

}  // namespace
}  // namespace hearth::dialog
