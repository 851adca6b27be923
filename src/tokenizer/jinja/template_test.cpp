#include "tokenizer/jinja/template.h"

#include <gtest/gtest.h>
#include <string>

#include "base/error.h"
#include "io/json.h"

namespace hearth::tokenizer::jinja {
namespace {

std::string render(const std::string& source, const char* variables = "{}",
                   const Limits& limits = {}) {
  return Template(source, "template", limits).render(io::parse_json(variables, "variables"), 0);
}

std::string error_of(const std::string& source, const char* variables = "{}",
                     const Limits& limits = {}) {
  try {
    return "rendered: " + render(source, variables, limits);
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(Template, RendersChatMl) {
  const std::string source =
      "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + "
      "message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
      "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
  EXPECT_EQ(render(source, R"({"messages": [{"role": "user", "content": "Hi"}],
                               "add_generation_prompt": true})"),
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
}

TEST(Template, TrimsBlocksAsJinjaDoes) {
  EXPECT_EQ(render("  {% if true %}\n  x\n  {% endif %}\ny\n"), "  x\ny");
  EXPECT_EQ(render("a {%- if true -%} b {%- endif -%} c"), "abc");
  EXPECT_EQ(render("a\n{%+ if true +%}\nb{% endif %}"), "a\n\nb");
  EXPECT_EQ(render("{% raw %}{{ x }}{% endraw %}{# gone #}\n!"), "{{ x }}!");
}

TEST(Template, WritesValuesAsPythonDoes) {
  EXPECT_EQ(render("{{ [1, 2.0, 1e16, 'a', \"it's\", none, true, (1,), {'k': []}] }}"),
            "[1, 2.0, 1e+16, 'a', \"it's\", None, True, (1,), {'k': []}]");
  EXPECT_EQ(render("{{ x }}", R"({"x": "é\n\u0007"})"), "é\n\a");
  EXPECT_EQ(render("{{ [x] }}", R"({"x": "é\n\u0007"})"), "['é\\n\\x07']");
}

TEST(Template, WritesJsonAsTransformersDoes) {
  EXPECT_EQ(render("{{ x|tojson }}", R"({"x": {"b": "é<", "a": [1, 1.0, null]}})"),
            R"({"b": "é<", "a": [1, 1.0, null]})");
  EXPECT_EQ(render("{{ x|tojson(indent=2) }}", R"({"x": {"a": [1, []]}})"),
            "{\n  \"a\": [\n    1,\n    []\n  ]\n}");
}

TEST(Template, ScopesAsJinjaDoes) {
  EXPECT_EQ(render("{% set y = 0 %}{% for x in [1, 2] %}{{ y }}{% set y = x %}{% endfor %}{{ y }}"),
            "000");
  EXPECT_EQ(render("{% set n = namespace(y=0) %}{% for x in [1, 2] %}{% set n.y = x %}{% endfor %}"
                   "{{ n.y }}"),
            "2");
  EXPECT_EQ(render("{% macro m(a, b=a) %}{{ a }}{{ b }}{{ caller(3) }}{% endmacro %}"
                   "{% call(q) m(1) %}<{{ q }}>{% endcall %}"),
            "11<3>");
}

TEST(Template, FiltersALoopAsItGoes) {
  EXPECT_EQ(render("{% set n = namespace(stop=false) %}{% for x in [1, 2, 3] if not n.stop %}"
                   "{{ x }}{% if x == 2 %}{% set n.stop = true %}{% endif %}{% endfor %}"),
            "12");
}

TEST(Template, UndefinedPrintsNothingAndFailsWhenUsed) {
  EXPECT_EQ(render("[{{ nope }}{{ x.nope }}{% for a in nope %}{% endfor %}]", R"({"x": {}})"),
            "[]");
  EXPECT_EQ(error_of("a\n {{ x.nope.y }}", R"({"x": {}})"),
            "template line 2, column 11: 'dict object' has no attribute 'nope'");
}

TEST(Template, TheSandboxIsImmutable) {
  EXPECT_EQ(error_of("{{ x.append(1) }}", R"({"x": []})"),
            "template line 1, column 12: access to attribute 'append' of 'list' object is unsafe.");
  EXPECT_NE(error_of("{{ ''.__class__.__mro__ }}").find("unsafe"), std::string::npos);
}

TEST(Template, NamesTheLineOfAMistake) {
  EXPECT_EQ(error_of("x\n{% for a b %}"), "template line 2, column 10: expected 'in', found 'b'");
  EXPECT_EQ(error_of("{% if x %}"),
            "template line 1, column 11: the template ends before {% endif %}");
  EXPECT_EQ(error_of("{{ 'abc }}"), "template line 1, column 4: the string is never closed");
  EXPECT_EQ(error_of("{% nope %}"), "template line 1, column 4: unknown tag 'nope'");
}

TEST(Template, PassesOnWhatTheTemplateRaises) {
  try {
    render("{{ raise_exception('roles must alternate') }}");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.text, "roles must alternate");
    EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  }
}

TEST(Template, ReadsTheClockItIsGiven) {
  EXPECT_EQ(Template("{{ strftime_now('%d %b %Y') }}").render(io::Json::object(), 1700000000),
            "14 Nov 2023");
}

TEST(Limits, StopARunawayTemplate) {
  const Limits small{.steps_max = 10000, .output_bytes_max = 1000, .memory_bytes_max = 100000};
  const auto stops = [&](const std::string& source, const char* why) {
    EXPECT_NE(error_of(source, "{}", small).find(why), std::string::npos)
        << source << "\n"
        << error_of(source, "{}", small);
  };
  stops("{% for a in range(9000) %}{% for b in range(9000) %}{% endfor %}{% endfor %}", "memory");
  stops("{% for a in range(999) %}{% for b in range(999) %}{% endfor %}{% endfor %}", "steps");
  stops("{{ 'x' * 2000 }}", "rendered text");
  stops("{{ ('x' * 999999999)|length }}", "memory");
  stops(
      "{% set n = namespace(s='x') %}{% for a in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
      "memory");
  stops("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested deeper");
  stops(
      "{% set n = namespace(l=[]) %}{% for a in range(400) %}{% set n.l = [n.l] %}{% endfor %}"
      "{{ n.l }}",
      "nested deeper");
}

TEST(Limits, BoundTheParser) {
  EXPECT_NE(error_of("{{ " + std::string(5000, '(') + "1" + std::string(5000, ')') + " }}")
                .find("nested deeper"),
            std::string::npos);
  std::string blocks;
  for (int i = 0; i < 5000; ++i) blocks += "{% if true %}";
  EXPECT_NE(error_of(blocks).find("nested deeper"), std::string::npos);
  std::string chain = "{{ 1";
  for (int i = 0; i < 20000; ++i) chain += " + 1";
  EXPECT_NE(error_of(chain + " }}").find("nested deeper"), std::string::npos);
}

}  // namespace
}  // namespace hearth::tokenizer::jinja
