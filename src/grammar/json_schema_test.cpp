#include "grammar/json_schema.h"

#include <gtest/gtest.h>

#include "grammar/test_support.h"
#include "io/json.h"

namespace hearth::grammar {
namespace {

struct Case {
  const char* schema;
  std::vector<const char*> valid;  // generated texts: in the order of properties, white space ours
  std::vector<const char*> invalid;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases{
      {R"({"type":"string"})",
       {R"("")", R"("aé\u00e9\ud83d\ude00\n")"},
       {"1", R"("\x")", R"("\ud83d")", "\"\n\""}},
      {R"({"type":["string","null"]})", {R"("a")", "null"}, {"1", "true"}},
      {R"({"type":"string","nullable":true})", {R"("a")", "null"}, {"1"}},
      {R"({"type":"boolean"})", {"true", "false"}, {"null", "0"}},
      {R"({"type":"string","minLength":2,"maxLength":4})",
       {R"("ab")", R"("日本語é")"},
       {R"("a")", R"("abcde")"}},
      {R"({"type":"string","minLength":70})", {}, {R"("ab")"}},
      {R"({"type":"string","maxLength":1000})", {R"("")", R"("ab")"}, {"1"}},
      {R"({"type":"string","pattern":"^[a-z]{2}-\\d+$"})",
       {R"("ab-1")"},
       {R"("ab-")", R"("xab-1")"}},
      {R"({"type":"string","pattern":"a\"b"})", {R"("a\"b")", R"("xa\"by")"}, {R"("ab")"}},
      {R"({"type":"string","pattern":"^a|b$"})", {R"("ax")", R"("xb")"}, {R"("xa")"}},
      {R"({"type":"integer"})", {"0", "-1", "123"}, {"01", "1.5", "-0", "1e3"}},
      {R"({"type":"integer","minimum":-3,"maximum":25})",
       {"-3", "0", "9", "10", "25"},
       {"-4", "26", "100"}},
      {R"({"type":"integer","exclusiveMinimum":99,"exclusiveMaximum":1001})",
       {"100", "555", "1000"},
       {"99", "1001", "5"}},
      {R"({"type":"integer","minimum":17})", {"17", "99", "1000000"}, {"16", "-17"}},
      {R"({"type":"integer","maximum":-17})", {"-17", "-99", "-1000"}, {"-16", "17", "0"}},
      {R"({"type":"integer","minimum":1.5,"maximum":3.5})", {"2", "3"}, {"1", "4"}},
      {R"({"type":"integer","multipleOf":7})", {"0", "7", "-14", "700"}, {"1", "13"}},
      {R"({"type":"integer","multipleOf":7,"minimum":15,"maximum":40})",
       {"21", "28", "35"},
       {"14", "42", "22", "0"}},
      {R"({"type":"integer","multipleOf":5,"minimum":0})", {"0", "5", "1005"}, {"-5", "4", "01"}},
      {R"({"type":"integer","multipleOf":12,"exclusiveMinimum":-120000,"maximum":360000})",
       {"-119988", "-12", "0", "359988", "360000"},
       {"-120000", "360012", "13", "-0"}},
      {R"({"type":"integer","multipleOf":0.5})", {"0", "-3", "17"}, {"0.5"}},
      {R"({"type":"number","multipleOf":0.01})", {"0", "19.99", "-0.5", "3.10"}, {"0.001", "1e2"}},
      {R"({"type":"number","multipleOf":0.01,"minimum":0.995,"exclusiveMaximum":30})",
       {"1", "1.01", "19.99", "29.99"},
       {"0.99", "0.995", "30", "30.0", "1.001"}},
      {R"({"type":"number","multipleOf":0.5,"minimum":0,"maximum":5})",
       {"0", "0.5", "4.5", "5"},
       {"0.25", "5.5", "-0.5"}},
      {R"({"type":"number","multipleOf":0.25})", {"0.25", "-7.5", "12", "3.75"}, {"0.3", "0.125"}},
      {R"({"type":"number","multipleOf":3})", {"3", "-9", "0"}, {"4", "3.5"}},
      {R"({"type":"number"})", {"0", "-1.5", "1e3", "2.5E-07"}, {"01", ".5", "1.", "+1"}},
      {R"({"type":"number","minimum":0,"maximum":1})",
       {"0", "1", "0.5", "1.0", "0.999"},
       {"1.01", "-0.1", "2"}},
      {R"({"type":"number","minimum":-1.25,"exclusiveMaximum":10.5})",
       {"-1.25", "-1.2", "10.49", "9", "0"},
       {"-1.26", "10.5", "11", "-2"}},
      {R"({"type":"number","exclusiveMinimum":0})", {"0.001", "3"}, {"0", "0.0", "-1"}},
      {R"({"type":"number","minimum":0.01,"maximum":0.05})",
       {"0.01", "0.05", "0.03"},
       {"0", "0.06", "0.009"}},
      {R"({"enum":["a",1,null,{"b":[true]}]})",
       {R"("a")", "1", "null", R"({"b":[true]})", R"({"b": [true]})"},
       {R"("b")", "2"}},
      {R"({"type":"string","enum":["a",1]})", {R"("a")"}, {"1"}},
      {R"({"const":"x\ny"})", {R"("x\ny")"}, {R"("xy")"}},
      {R"({"type":"array","items":{"type":"integer"}})",
       {"[]", "[1]", "[1, 2,3]"},
       {"[1,]", R"(["a"])"}},
      {R"({"type":"array","items":{"type":"boolean"},"minItems":2,"maxItems":3})",
       {"[true,true]", "[true,false,true]"},
       {"[true]", "[true,true,true,true]", "[]"}},
      {R"({"type":"array","items":{"type":"null"},"minItems":1})",
       {"[null]", "[null,null]"},
       {"[]"}},
      {R"({"type":"array","items":{"type":"null"},"maxItems":200})",
       {"[]", "[null,null]"},
       {"[1]"}},
      {R"({"type":"array","uniqueItems":true,"items":{"enum":["a","b","c"]}})",
       {"[]", R"(["b"])", R"(["c","a","b"])"},
       {R"(["a","a"])", R"(["a","b","a"])"}},
      {R"({"type":"array","uniqueItems":true,"items":{"anyOf":[{"type":"boolean"},{"const":1}]},"minItems":2,"maxItems":2})",
       {"[true,1]", "[false,true]"},
       {"[true]", "[1,1]", "[true,false,1]"}},
      {R"({"type":"array","uniqueItems":true,"maxItems":1})", {"[]", "[{}]"}, {"[1,2]"}},
      {R"({"type":"array","maxItems":0})", {"[]"}, {"[1]"}},
      {R"({"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"items":false})",
       {"[]", "[1]", R"([1,"a"])"},
       {R"([1,"a",1])", R"(["a"])"}},
      {R"({"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"items":{"type":"null"},"minItems":3,"maxItems":4})",
       {R"([1,"a",null])", R"([1,"a",null,null])"},
       {R"([1,"a"])", R"([1,"a",null,null,null])"}},
      {R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"},"c":{"type":"null"}},"required":["b"],"additionalProperties":false})",
       {R"({"b":"x"})", R"({"a":1,"b":"x"})", R"({"a": 1, "b": "x", "c": null})",
        "{\n  \"b\": \"x\"\n}"},
       {"{}", R"({"a":1})", R"({"b":"x","d":1})", R"({"b":1})"}},
      {R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"additionalProperties":false})",
       {"{}", R"({"a":1})", R"({"b":1})", R"({"a":1,"b":2})"},
       {R"({,"b":1})", R"({"a":1,})"}},
      {R"({"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":{"type":"boolean"}})",
       {"{}", R"({"a":1,"b":true})", R"({"b":true,"ab":false,"":true})"},
       {R"({"b":1})", R"({"a":true})"}},
      {R"({"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":true})",
       {R"({"a":1,"b":[{}]})"},
       {R"({"b":1})"}},
      {R"({"type":"object","additionalProperties":{"type":"integer"},"minProperties":1,"maxProperties":3})",
       {R"({"a":1})", R"({"a":1,"b":2})"},
       {"{}", R"({"a":1,"b":2,"c":3,"d":4})"}},
      {R"({"type":"object","patternProperties":{"^x_":{"type":"integer"}},"additionalProperties":false})",
       {"{}", R"({"x_a":1})"},
       {R"({"y":1})", R"({"x_a":"b"})"}},
      {R"({"type":"object"})", {"{}", R"({"a":{"b":[1,"c"]}})"}, {"[]", "1"}},
      {R"({})", {"1", "[]", R"({"a":null})", R"("x")", "true"}, {"", "{"}},
      {R"({"anyOf":[{"type":"integer"},{"type":"object","properties":{"a":{"const":1}},"required":["a"],"additionalProperties":false}]})",
       {"5", R"({"a":1})"},
       {R"("x")", "{}"}},
      {R"({"oneOf":[{"type":"integer"},{"type":"null"}]})", {"5", "null"}, {R"("x")"}},
      {R"({"oneOf":[{"type":"object","properties":{"kind":{"const":"a"},"x":{"type":"integer"}},"required":["kind"]},{"type":"object","properties":{"kind":{"enum":["b","c"]}},"required":["kind"],"additionalProperties":false}]})",
       {R"({"kind":"a","x":1})", R"({"kind":"c"})"},
       {R"({"kind":"b","x":1})", R"({"x":1})"}},
      {R"({"oneOf":[{"properties":{"a":{"type":"string"}},"required":["a"]},{"properties":{"b":{"type":"string"}},"required":["b"]}]})",
       {R"({"a":""})", R"({"b":""})"},
       {R"({"a":"","b":""})", "{}"}},
      {R"({"type":"integer","oneOf":[{"maximum":3},{"minimum":10}]})", {"3", "10"}, {"4", "9"}},
      {R"({"oneOf":[{"type":"array","prefixItems":[{"const":"p"}],"minItems":1},{"type":"array","prefixItems":[{"const":"q"}],"minItems":1}]})",
       {R"(["p"])", R"(["q",1])"},
       {"[]", R"(["r"])"}},
      {R"({"type":"integer","anyOf":[{"minimum":10},{"maximum":-10}]})", {"10", "-10"}, {"0", "5"}},
      {R"({"allOf":[{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]},{"properties":{"b":{"type":"string"}},"required":["b"]}]})",
       {R"({"a":1,"b":"x"})"},
       {R"({"a":1})"}},
      {R"({"allOf":[{"type":"integer","minimum":3},{"maximum":5}]})", {"3", "5"}, {"2", "6"}},
      {R"({"allOf":[{"enum":["a","b","c"]},{"enum":["c","b"]}]})",
       {R"("b")", R"("c")"},
       {R"("a")"}},
      {R"({"$defs":{"n":{"type":"object","properties":{"v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/n"},{"type":"null"}]}},"required":["v","next"],"additionalProperties":false}},"$ref":"#/$defs/n"})",
       {R"({"v":1,"next":null})", R"({"v":1,"next":{"v":2,"next":null}})"},
       {R"({"v":1})", R"({"v":1,"next":1})"}},
      {R"({"type":"object","properties":{"c":{"type":"array","items":{"$ref":"#"}}},"additionalProperties":false})",
       {"{}", R"({"c":[{},{"c":[]}]})"},
       {R"({"c":[1]})"}},
      {R"({"$defs":{"p":{"type":"integer","minimum":1}},"type":"object","properties":{"a":{"$ref":"#/$defs/p","maximum":9}},"required":["a"]})",
       {R"({"a":9})"},
       {R"({"a":10})", R"({"a":0})"}},
      {R"({"type":"string","format":"date"})",
       {R"("2024-02-29")", R"("1999-12-31")", R"("2000-02-29")"},
       {R"("2023-02-29")", R"("1900-02-29")", R"("2024-13-01")", R"("2024-04-31")"}},
      {R"({"type":"string","format":"date-time"})",
       {R"("2024-02-29T10:00:00Z")", R"("2024-01-01T23:59:59.123+02:00")"},
       {R"("2024-01-01")", R"("2024-01-01T24:00:00Z")"}},
      {R"({"type":"string","format":"time"})", {R"("10:00:00Z")"}, {R"("25:00:00Z")"}},
      {R"({"type":"string","format":"uuid"})",
       {R"("123e4567-e89b-12d3-a456-426614174000")"},
       {R"("123e4567")"}},
      {R"({"type":"string","format":"ipv4"})",
       {R"("192.168.0.255")"},
       {R"("256.1.1.1")", R"("1.2.3")", R"("01.2.3.4")"}},
      {R"({"type":"string","format":"ipv6"})",
       {R"("::1")", R"("2001:db8::ff00:42:8329")", R"("::")", R"("1:2:3:4:5:6:7:8")",
        R"("1:2:3:4:5:6:7::")"},
       {R"("1::2::3")", R"("1:2")"}},
      {R"({"type":"string","format":"email"})", {R"("a.b@c.org")"}, {R"("a@")", R"("a b@c.d")"}},
      {R"({"type":"string","format":"duration"})",
       {R"("P1Y2M")", R"("PT5M")", R"("P3W")"},
       {R"("P")", R"("1D")"}},
      {R"({"type":"string","format":"uri"})", {R"("https://a.b/c?d=e#f")"}, {R"("a b")"}},
      {R"({"type":"integer","format":"int32"})", {"1"}, {"1.5"}},
  };
  return kCases;
}

std::shared_ptr<const Grammar> compile(const std::string& schema,
                                       std::shared_ptr<const Vocabulary> vocabulary) {
  return compile_grammar({.kind = GrammarKind::kJsonSchema, .text = schema}, std::move(vocabulary));
}

TEST(JsonSchema, AcceptsWhatIsValidAndNothingElse) {
  const auto vocabulary = test_vocabulary(1, 100);
  for (const Case& c : cases()) {
    const auto grammar = compile(c.schema, vocabulary);
    const io::Json schema = io::parse_json(c.schema, "schema");
    for (const char* text : c.valid) {
      EXPECT_TRUE(matches(grammar, text)) << c.schema << "\n  " << text;
      EXPECT_TRUE(satisfies(io::parse_json(text, "text"), schema, schema)) << c.schema << text;
    }
    for (const char* text : c.invalid)
      EXPECT_FALSE(matches(grammar, text)) << c.schema << "\n  " << text;
  }
}

TEST(JsonSchema, RandomWalksOfTheMaskAreValid) {
  const uint64_t seed = 20240607;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  Random random(seed);
  const auto vocabulary = test_vocabulary(seed, 2000);
  int finished = 0;
  for (const Case& c : cases()) {
    const auto grammar = compile(c.schema, vocabulary);
    const io::Json schema = io::parse_json(c.schema, "schema");
    for (int walk = 0; walk < 12; ++walk) {
      Matcher matcher(grammar);
      const auto text = random_text(matcher, *vocabulary, random, 250);
      if (!text) continue;
      ++finished;
      EXPECT_TRUE(satisfies(io::parse_json(*text, "generated"), schema, schema))
          << c.schema << "\n  " << *text;
    }
  }
  EXPECT_GT(finished, static_cast<int>(cases().size()) * 8);
}

std::string refusal(const std::string& schema) {
  try {
    compile(schema, test_vocabulary(1, 0));
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(JsonSchema, RefusesByKeywordAndPath) {
  const auto expect = [](const char* schema, const char* path, const char* text) {
    const std::string what = refusal(schema);
    EXPECT_NE(what.find(path), std::string::npos) << what;
    EXPECT_NE(what.find(text), std::string::npos) << what;
  };
  expect(R"({"properties":{"x":{"not":{}}}})", "#/properties/x", "'not'");
  expect(R"({"properties":{"x":{"type":"object","if":{},"then":{},"else":{}}}})", "#/properties/x",
         "'if'");
  expect(R"({"items":{"not":{"type":"string"}}})", "#/items", "'not'");
  expect(R"({"type":"array","uniqueItems":true})", "#", "'uniqueItems'");
  expect(R"({"type":"array","uniqueItems":true,"items":{"enum":[1,2,3,4,5,6,7,8,9]}})", "#",
         "at most 8");
  expect(R"({"oneOf":[{"type":"string"},{"type":"integer"},{"type":"number"}]})", "#", "1 and 2");
  expect(R"({"properties":{"x":{"oneOf":[{"properties":{"a":{}}},{"properties":{"b":{}}}]}}})",
         "#/properties/x", "'oneOf'");
  expect(R"({"type":"integer","multipleOf":101,"minimum":0})", "#", "'multipleOf'");
  expect(R"({"type":"object","minProperties":2})", "#", "'minProperties'");
  expect(R"({"type":"number","multipleOf":0})", "#/multipleOf", "above 0");
  expect(R"({"type":"object","properties":{"x":{"$ref":"http://a/b"}}})", "#/properties/x/$ref",
         "http");
  expect(R"({"properties":{"x":{"$ref":"#/$defs/y"}}})", "#/properties/x/$ref", "#/$defs/y");
  expect(R"({"type":"text"})", "#/type", "text");
  expect(R"J({"type":"string","pattern":"(?=a)"})J", "#/pattern", "look-around");
  expect(R"({"type":"string","minLength":-1})", "#/minLength", "whole number");
  expect(R"({"type":"object","properties":{"n":{"$ref":"#"}},"required":["n"]})", "grammar",
         "no finite text");
  expect(R"({"allOf":[{"$ref":"#"}]})", "#", "circle");
  expect(R"({"type":"string","minLength":3,"maxLength":2})", "grammar", "no finite text");
  expect("[]", "#", "expected a schema");
  expect("{", "schema", "not valid JSON");
}

TEST(JsonSchema, CompactWhitespaceAllowsNone) {
  const auto vocabulary = test_vocabulary(1, 0);
  const auto grammar = compile_grammar({.kind = GrammarKind::kJsonSchema,
                                        .text = R"({"type":"array"})",
                                        .whitespace = Whitespace::kCompact},
                                       vocabulary);
  EXPECT_TRUE(matches(grammar, "[1,2]"));
  EXPECT_FALSE(matches(grammar, "[1, 2]"));
}

TEST(JsonSchema, WhitespaceIsBounded) {
  const auto grammar = compile(R"({"type":"array"})", test_vocabulary(1, 0));
  EXPECT_TRUE(matches(grammar, "[\n    1,\n    2\n]"));
  EXPECT_FALSE(matches(grammar, "[  1]"));
  EXPECT_FALSE(matches(grammar, "[\n\n1]"));
  EXPECT_FALSE(matches(grammar, " [1]"));
}

}  // namespace
}  // namespace hearth::grammar
