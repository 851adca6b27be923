#include "dialog/reply_parser.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "base/random.h"

namespace hearth::dialog {
namespace {

const std::vector<ToolSignature> kTools = {{"f", {}},
                                           {"get_weather",
                                            {{"city", {"string"}},
                                             {"days", {"integer"}},
                                             {"detail", {"boolean", "null"}},
                                             {"where", {"object"}},
                                             {"at", {"number", "string"}}}}};

// One line of what a client is told: text as it is, <<reasoning>>, {{name|arguments}}.
std::string told(const std::vector<Part>& parts) {
  std::string out;
  bool in_call = false;
  Part::Kind last = Part::Kind::kText;
  for (const Part& part : parts) {
    const bool arguments = part.kind == Part::Kind::kArguments;
    if (in_call && !arguments) out += "}}";
    if (last == Part::Kind::kReasoning && part.kind != last) out += ">>";
    if (part.kind == Part::Kind::kReasoning && last != part.kind) out += "<<";
    if (part.kind == Part::Kind::kToolCall) out += "{{" + part.name + "|";
    in_call = arguments || part.kind == Part::Kind::kToolCall;
    last = part.kind;
    out += part.text;
  }
  return out + (in_call ? "}}" : "") + (last == Part::Kind::kReasoning ? ">>" : "");
}

std::string parse_in(const ReplyFormat& format, const std::string& reply, const std::string& prompt,
                     const std::vector<ToolSignature>& tools, const std::vector<size_t>& sizes) {
  ReplyParser parser(format, tools, prompt);
  std::vector<Part> all;
  size_t at = 0;
  for (size_t i = 0; at < reply.size(); ++i) {
    const std::string piece = reply.substr(at, sizes[i % sizes.size()]);
    at += piece.size();
    for (Part& part : parser.feed(piece)) all.push_back(std::move(part));
  }
  for (Part& part : parser.finish()) all.push_back(std::move(part));
  return told(all);
}

// However the reply is cut into pieces, the client is told the same.
std::string parse(const ReplyFormat& format, const std::string& reply,
                  const std::string& prompt = "",
                  const std::vector<ToolSignature>& tools = kTools) {
  const std::string whole = parse_in(format, reply, prompt, tools, {reply.size() + 1});
  EXPECT_EQ(parse_in(format, reply, prompt, tools, {1}), whole);
  Random random(7);
  for (int i = 0; i < 20; ++i) {
    std::vector<size_t> sizes;
    for (int n = 0; n < 7; ++n) sizes.push_back(1 + random.below(9));
    EXPECT_EQ(parse_in(format, reply, prompt, tools, sizes), whole);
  }
  return whole;
}

ReplyFormat hermes() { return {.tools = ToolSyntax::kHermes}; }
ReplyFormat thinking() {
  return {.tools = ToolSyntax::kHermes, .think_start = "<think>", .think_end = "</think>"};
}

TEST(Reasoning, IsSplitOff) {
  EXPECT_EQ(parse(thinking(), "<think>\nhm, 4\n</think>\n\nIt is 4."), "<<hm, 4>>It is 4.");
  EXPECT_EQ(parse(thinking(), "hm, 4</think>It is 4.", "...<think>\n"), "<<hm, 4>>It is 4.");
  EXPECT_EQ(parse(thinking(), "It is 4.", "...<think>\n\n</think>\n\n"), "It is 4.");
  EXPECT_EQ(parse(thinking(), "<think>a <b </thin </think>x"), "<<a <b </thin>>x");
  EXPECT_EQ(parse(thinking(), "<think>never closed </thi"), "<<never closed </thi>>");
  EXPECT_EQ(parse(thinking(), "Not <think>first</think>"), "Not <think>first</think>");
  EXPECT_EQ(parse(hermes(), "<think>x</think>y"), "<think>x</think>y");
}

TEST(Hermes, CallsAmongText) {
  EXPECT_EQ(parse(hermes(),
                  "Let me look.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": "
                  "[1, \"}\"]}}\n</tool_call>\n<tool_call>{\"arguments\": {}, \"name\": "
                  "\"get_weather\"}</tool_call>\nDone."),
            "Let me look.{{f|{\"a\": [1, \"}\"]}}}{{get_weather|{}}}Done.");
  EXPECT_EQ(parse(thinking(), "<think>which?</think>\n\n<tool_call>{\"name\": \"f\"}</tool_call>"),
            "<<which?>>{{f|{}}}");
  EXPECT_EQ(parse(hermes(), "<tool_call>{\"name\": \"f\", \"arguments\": \"{\\\"a\\\": 1}\"}"),
            "{{f|{\"a\": 1}}}");
}

TEST(Hermes, WhatIsNoCallStaysText) {
  for (const char* reply :
       {"a < b <tool", "<tool_call>not json</tool_call>", "<tool_call>{\"nam\": 1}</tool_call> x",
        "<tool_call>", "<tool_call>\n{\"name\": 5}", "{\"name\": \"f\"}", "  spaced  out  ",
        "<tool_call>[{\"x\": 1}]</tool_call>"}) {
    EXPECT_EQ(parse(hermes(), reply), reply);
  }
}

TEST(Hermes, ACallThatBreaksOffKeepsWhatWasTold) {
  EXPECT_EQ(parse(hermes(), "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1"),
            "{{f|{\"a\": 1}}");
}

TEST(Hermes, WithoutToolsNothingIsACall) {
  const std::string reply = "<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>";
  EXPECT_EQ(parse(hermes(), reply, "", {}), reply);
}

TEST(Hermes, TellsTheNameBeforeTheArguments) {
  ReplyParser parser(hermes(), kTools, "");
  EXPECT_TRUE(parser.feed("<tool_call>{\"name\": \"f").empty());
  const auto name = parser.feed("\", \"arguments\": {\"a\"");
  ASSERT_EQ(name.size(), 2u);
  EXPECT_EQ(name[0].kind, Part::Kind::kToolCall);
  EXPECT_EQ(name[1].text, "{\"a\"");
  const auto more = parser.feed(": 1");
  ASSERT_EQ(more.size(), 1u);
  EXPECT_EQ(more[0].text, ": 1");
}

TEST(Llama, BareJsonAtTheStart) {
  const ReplyFormat llama{.tools = ToolSyntax::kLlama};
  EXPECT_EQ(parse(llama, "{\"name\": \"f\", \"parameters\": {\"a\": 1}}"), "{{f|{\"a\": 1}}}");
  EXPECT_EQ(parse(llama,
                  "<|python_tag|>{\"name\": \"f\", \"parameters\": {}}; {\"name\": "
                  "\"get_weather\", \"parameters\": {\"b\": 2}}"),
            "{{f|{}}}{{get_weather|{\"b\": 2}}}");
  for (const char* reply :
       {"{\"name\": \"unknown\", \"parameters\": {}}", "{\"answer\": 42}",
        "text {\"name\": \"f\", \"parameters\": {}}", "<|python_tag|>print(1)"}) {
    EXPECT_EQ(parse(llama, reply), reply);
  }
}

TEST(Llama, AnUnknownNameFreesTheRestForOtherCalls) {
  const ReplyFormat llama{.tools = ToolSyntax::kLlama};
  EXPECT_EQ(parse(llama, "{\"name\": \"unknown\", \"x\": \"<tool_call>{\"name\": \"f\"}"),
            "{\"name\": \"unknown\", \"x\": \"{{f|{}}}");
}

TEST(Mistral, ListsAndNamesFirst) {
  const ReplyFormat mistral{.tools = ToolSyntax::kMistral};
  EXPECT_EQ(parse(mistral,
                  "[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {\"a\": 1}}, {\"name\": "
                  "\"get_weather\", \"arguments\": {}, \"id\": \"x\"}]"),
            "{{f|{\"a\": 1}}}{{get_weather|{}}}");
  EXPECT_EQ(
      parse(mistral, "[TOOL_CALLS]f[ARGS]{\"a\": 1}[TOOL_CALLS]get_weather[CALL_ID]9[ARGS]{}"),
      "{{f|{\"a\": 1}}}{{get_weather|{}}}");
  EXPECT_EQ(parse(mistral, "[TOOL_CALLS] what?"), "[TOOL_CALLS] what?");
}

TEST(Phi, FunctoolsAndMarkers) {
  const ReplyFormat phi{.tools = ToolSyntax::kPhi};
  EXPECT_EQ(parse(phi, "functools[{\"name\": \"f\", \"arguments\": {\"a\": 1}}]"),
            "{{f|{\"a\": 1}}}");
  EXPECT_EQ(parse(phi, "<|tool_call|>[{\"name\": \"f\", \"arguments\": {}}]<|/tool_call|>"),
            "{{f|{}}}");
  EXPECT_EQ(parse(phi, "functools[1]"), "functools[1]");
}

TEST(DeepSeek, BothLayouts) {
  const ReplyFormat deepseek{.tools = ToolSyntax::kDeepSeek};
  EXPECT_EQ(
      parse(deepseek,
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{\"a\": "
            "1}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n"
            "```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"),
      "{{f|{\"a\": 1}}}{{get_weather|{}}}");
  EXPECT_EQ(parse(deepseek,
                  "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"a\": 1}"
                  "<｜tool▁call▁end｜><｜tool▁calls▁end｜>"),
            "{{f|{\"a\": 1}}}");
}

TEST(Pythonic, ListsOfCalls) {
  const ReplyFormat python{.tools = ToolSyntax::kPythonic};
  EXPECT_EQ(parse(python, "[f(a=1, b='x\\'y', c=[1.5, None], d={\"k\": True}), get_weather()]"),
            "{{f|{\"a\":1,\"b\":\"x'y\",\"c\":[1.5,null],\"d\":{\"k\":true}}}}{{get_weather|{}}}");
  for (const char* reply : {"[1, 2, 3]", "[f(a=1)", "[unknown(a=1)]", "[f(1)]", "[f(a=b)]"}) {
    EXPECT_EQ(parse(python, reply), reply);
  }
}

ReplyFormat xml() { return {.tools = ToolSyntax::kXml}; }

TEST(Xml, ValuesBecomeWhatTheSchemaSays) {
  EXPECT_EQ(parse(xml(),
                  "So.\n<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo\n</parameter>\n"
                  "<parameter=days>\n3\n</parameter>\n<parameter=detail>\nTrue\n</parameter>\n"
                  "<parameter=where>\n{\"x\": [1]}\n</parameter>\n</function>\n</tool_call>"),
            "So.{{get_weather|{\"city\": \"Oslo\", \"days\": 3, \"detail\": true, "
            "\"where\": {\"x\": [1]}}}}");
  EXPECT_EQ(parse(xml(), "<tool_call><function=f></function></tool_call>"), "{{f|{}}}");
}

TEST(Xml, WhatDoesNotFitTheTypeIsAString) {
  EXPECT_EQ(parse(xml(),
                  "<tool_call><function=get_weather><parameter=days>three</parameter>"
                  "<parameter=detail>null</parameter><parameter=at>7</parameter>"
                  "<parameter=other>5</parameter></function></tool_call>"),
            "{{get_weather|{\"days\": \"three\", \"detail\": null, \"at\": 7, \"other\": \"5\"}}}");
}

TEST(Xml, TextKeepsItsLinesAndTags) {
  EXPECT_EQ(
      parse(xml(),
            "<tool_call>\n<function=get_weather>\n<parameter=city>\n\n  a \"b\" \\ é\n</p>\n\n"
            "</parameter>\n</function>\n</tool_call>\nDone"),
      R"({{get_weather|{"city": "\n  a \"b\" \\ é\n</p>\n"}}}Done)");
}

TEST(Xml, SeveralCallsAndCallsWithoutAMarker) {
  EXPECT_EQ(parse(xml(),
                  "<function=f>\n<parameter=a>\n1\n</parameter>\n</function>\n<tool_call>\n"
                  "<function=get_weather>\n</function>\n</tool_call>"),
            "{{f|{\"a\": \"1\"}}}{{get_weather|{}}}");
  // A forced call is JSON, whatever the model's own form.
  EXPECT_EQ(parse(xml(), "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>"),
            "{{f|{}}}");
}

TEST(Xml, WhatIsNoCallStaysText) {
  EXPECT_EQ(parse(xml(), "a < b, <functional> <tool_call> no"),
            "a < b, <functional> <tool_call> no");
  EXPECT_EQ(parse(xml(), "<tool_call><function=>"), "<tool_call><function=>");
}

TEST(Xml, StringsAreToldAsTheyCome) {
  ReplyParser parser(xml(), kTools, "");
  EXPECT_EQ(told(parser.feed("<tool_call>\n<function=get_weather>\n<parameter=city>\nOs")),
            "{{get_weather|{\"city\": \"Os}}");
  EXPECT_EQ(parser.feed("lo\n</param").back().text, "lo");
  EXPECT_EQ(parser.feed("eter>").back().text, "\"");
}

}  // namespace
}  // namespace hearth::dialog
