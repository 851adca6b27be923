// Masks against brute force: for each of thousands of random situations, every token is tried.
#include "grammar/token_mask.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "grammar/test_support.h"

namespace hearth::grammar {
namespace {

std::vector<GrammarSource> sources() {
  const auto schema = [](const char* text) {
    return GrammarSource{.kind = GrammarKind::kJsonSchema, .text = text};
  };
  const auto regex = [](const char* text) {
    return GrammarSource{.kind = GrammarKind::kRegex, .text = text};
  };
  const auto gbnf = [](const char* text) {
    return GrammarSource{.kind = GrammarKind::kGbnf, .text = text};
  };
  return {
      {.kind = GrammarKind::kJsonObject},
      {.kind = GrammarKind::kJsonValue, .whitespace = Whitespace::kCompact},
      {.kind = GrammarKind::kChoice, .choices = {"true", "truth", "null", "日本", "日曜", ""}},
      schema(R"({"type":"object","properties":{"name":{"type":"string"},"id":{"type":"integer"},
                 "value":{"type":"array","items":{"type":"number"}}},"required":["name"]})"),
      schema(R"({"type":"object","properties":{"name":{"type":"string","maxLength":90},
                 "c":{"type":"array","items":{"$ref":"#"},"maxItems":40}}})"),
      schema(R"({"type":"array","items":{"type":"string","minLength":3,"maxLength":70},
                 "minItems":66,"maxItems":80})"),
      schema(R"({"type":"object","properties":{"id":{"type":"integer"}},
                 "additionalProperties":{"type":["string","null"]}})"),
      regex("(a|b)*abb[^a-y]{0,3}"),
      regex("(\"[^\"]{2,90}\"|é+|\\d{3}-\\d{4}){1,70}"),
      regex("((a?){9}a{9}){2}"),
      gbnf("root ::= \"(\" root \")\" root | \"\""),
      gbnf("root ::= root \"a\" | root \"}\" root2 | \"{\"\nroot2 ::= \"]\" root2 | \"]\""),
      gbnf("root ::= s\ns ::= \"a\" s | \"a\" s \"b\" | \"b\""),
      gbnf("root ::= expr\nexpr ::= term ([-+] term)*\nterm ::= [0-9]+ | \"(\" expr \")\" | name\n"
           "name ::= [a-z]{1,70} (\"[\" expr \"]\")?"),
  };
}

std::vector<int32_t> by_brute_force(const Matcher& matcher, const Vocabulary& vocabulary) {
  std::vector<int32_t> tokens;
  for (int32_t token = 0; token < vocabulary.size(); ++token) {
    Matcher trial = matcher;
    if (trial.accept(token)) tokens.push_back(token);
  }
  return tokens;
}

void compare_walks(uint64_t seed, int walks, int steps_max) {
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  Random random(seed);
  const auto vocabulary = test_vocabulary(seed, 250);
  for (const GrammarSource& source : sources()) {
    const auto grammar = compile_grammar(source, vocabulary);
    for (int walk = 0; walk < walks; ++walk) {
      Matcher matcher(grammar);
      for (int step = 0; step < steps_max; ++step) {
        const std::vector<int32_t> allowed = allowed_tokens(matcher, *vocabulary);
        ASSERT_EQ(allowed, by_brute_force(matcher, *vocabulary)) << source.text << " step " << step;
        ASSERT_FALSE(allowed.empty()) << source.text;
        const int32_t token = allowed[random.below(allowed.size())];
        ASSERT_TRUE(matcher.accept(token));
        if (vocabulary->is_end(token)) break;
      }
    }
  }
}

TEST(TokenMask, EqualsBruteForce) { compare_walks(7, 3, 40); }

TEST(TokenMask, SlowEqualsBruteForceOften) {
  for (uint64_t seed = 100; seed < 108; ++seed) compare_walks(seed, 3, 80);
}

TEST(TokenMask, RollbackComesBackToTheSameMasks) {
  const uint64_t seed = 11;
  Random random(seed);
  const auto vocabulary = test_vocabulary(seed, 300);
  for (const GrammarSource& source : sources()) {
    const auto grammar = compile_grammar(source, vocabulary);
    Matcher matcher(grammar);
    std::vector<std::vector<int32_t>> masks{allowed_tokens(matcher, *vocabulary)};
    for (int step = 0; step < 60; ++step) {
      const auto& allowed = masks.back();
      ASSERT_TRUE(matcher.accept(allowed[random.below(allowed.size())]));
      masks.push_back(allowed_tokens(matcher, *vocabulary));
      if (matcher.finished()) break;
      if (!random.chance(0.3)) continue;
      const size_t back = random.below(std::min<size_t>(masks.size(), 5));
      matcher.rollback(back);
      masks.resize(masks.size() - back);
      ASSERT_EQ(allowed_tokens(matcher, *vocabulary), masks.back()) << source.text;
    }
  }
}

TEST(TokenMask, ALongTextKeepsTheMachineSmallAndTheMaskRight) {
  const auto vocabulary = test_vocabulary(3, 100);
  const auto grammar = compile_grammar({.kind = GrammarKind::kJsonValue}, vocabulary);
  Matcher matcher(grammar);
  for (int i = 0; i < 2'000; ++i) ASSERT_TRUE(matcher.accept_text("[{\"a\":"));
  EXPECT_EQ(allowed_tokens(matcher, *vocabulary), by_brute_force(matcher, *vocabulary));
  ASSERT_TRUE(matcher.accept_text("1"));
  for (int i = 0; i < 2'000; ++i) ASSERT_TRUE(matcher.accept_text("}]"));
  EXPECT_TRUE(matcher.finished());
}

TEST(TokenMask, ForcedTextIsWhatEveryWalkWrites) {
  const auto vocabulary = test_vocabulary(3, 100);
  const auto grammar = compile_grammar(
      {.kind = GrammarKind::kJsonSchema,
       .text = R"({"type":"object","properties":{"name":{"const":"Hearth"},"n":{"type":"null"}},
                   "required":["name","n"]})",
       .whitespace = Whitespace::kCompact},
      vocabulary);
  Matcher matcher(grammar);
  EXPECT_EQ(matcher.forced(), R"({"name":"Hearth","n":null})");
  EXPECT_EQ(matcher.forced(5), R"({"nam)");
  ASSERT_TRUE(matcher.accept_text(matcher.forced()));
  EXPECT_TRUE(matcher.finished());
}

TEST(TokenMask, AVocabularyThatCannotSpellTheTextSaysSo) {
  const auto vocabulary = std::make_shared<const Vocabulary>(
      std::vector<std::string>{"a", "ab", ""}, std::vector<int32_t>{2});
  Matcher matcher(compile_grammar({.kind = GrammarKind::kChoice, .choices = {"xyz"}}, vocabulary));
  std::vector<uint32_t> words(vocabulary->mask_words());
  EXPECT_FALSE(matcher.fill(words));
}

}  // namespace
}  // namespace hearth::grammar
