#include "grammar/gbnf.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "grammar/test_support.h"

namespace hearth::grammar {
namespace {

std::shared_ptr<const Grammar> compile_gbnf(const std::string& text) {
  static const auto vocabulary = test_vocabulary(5, 100);
  return compile_grammar({.kind = GrammarKind::kGbnf, .text = text}, vocabulary);
}

TEST(Gbnf, ReadsTheWholeNotation) {
  const auto grammar = compile_gbnf(R"(
# a list of things
root ::= "[" ws (thing ("," ws thing)*)? "]"   # ends here
thing ::= number | name |
          'q' "\"" [^"\n]{0,3} "\"" | "\x41\u00e9" .
number ::= "-"? [0-9]+ ("." [0-9]{1,2})?
name ::= [a-zA-Z_-]+
ws ::= [ \t]*
)");
  for (const char* text : {"[]", "[ 1,-2.50, a_b]", "[q\"é日\"]", "[A\u00e9x]"}) {
    EXPECT_TRUE(matches(grammar, text)) << text;
  }
  for (const char* text : {"", "[1,]", "[1.234]", "[q\"abcd\"]"}) {
    EXPECT_FALSE(matches(grammar, text)) << text;
  }
}

TEST(Gbnf, RecursionOnEitherSide) {
  const auto nested = compile_gbnf("root ::= \"(\" root \")\" | \"x\"");
  EXPECT_TRUE(matches(nested, "(((x)))"));
  EXPECT_FALSE(matches(nested, "(((x))"));
  const auto left = compile_gbnf("root ::= root \"+\" term | term\nterm ::= [0-9]");
  EXPECT_TRUE(matches(left, "1+2+3"));
  EXPECT_FALSE(matches(left, "1+"));
  const auto right = compile_gbnf("root ::= [0-9] \"+\" root | [0-9]");
  EXPECT_TRUE(matches(right, "1+2+3"));
}

TEST(Gbnf, RefusesWithLineAndColumn) {
  const auto what = [](const std::string& text) -> std::string {
    try {
      compile_gbnf(text);
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  };
  for (const auto& [grammar, text] : std::vector<std::pair<std::string, std::string>>{
           {"root ::= \"a\"\nb ::= c", "line 2, column 7: rule 'c'"},
           {"a ::= \"b\"", "'root' is missing"},
           {"root ::= a \"x\" | \"y\"\na ::= root \"z\" | \"w\"", "left recursion"},
           {"root ::= \"a", "not closed"},
           {"root ::= (\"a\"", "not closed"},
           {"root ::= \"a\")", "no '('"},
           {"root = \"a\"", "expected '::='"},
           {"root ::= \"a\" root", "no finite text"},
           {"root ::= \"a\"\nroot ::= \"b\"", "defined twice"},
           {"root ::= [b-a]", "out of order"},
           {"root ::= \"a\"{3,1}", "out of order"}}) {
    EXPECT_NE(what(grammar).find(text), std::string::npos) << grammar << "\n" << what(grammar);
  }
}

TEST(Gbnf, GrowthIsBounded) {
  std::string many = "root ::= ";
  for (int i = 0; i < 60; ++i) many += "(\"a\" | ";
  many += "\"b\"";
  for (int i = 0; i < 60; ++i) many += "){0,9}";
  const auto grammar = compile_gbnf(many);
  EXPECT_TRUE(matches(grammar, "aab"));
  std::string wide = "root ::= \"x\"";
  for (int i = 0; i < 30'000; ++i) wide += " | r" + std::to_string(i);
  EXPECT_THROW(compile_gbnf(wide), Error);
}

}  // namespace
}  // namespace hearth::grammar
