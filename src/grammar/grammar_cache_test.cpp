#include "grammar/grammar_cache.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "grammar/test_support.h"

namespace hearth::grammar {
namespace {

GrammarSource regex(const std::string& text) { return {.kind = GrammarKind::kRegex, .text = text}; }

TEST(GrammarCache, GivesTheSameGrammarForTheSameSource) {
  GrammarCache cache(test_vocabulary(1, 0), size_t{1} << 30);
  const auto first = cache.get(regex("a+"));
  EXPECT_EQ(cache.get(regex("a+")), first);
  EXPECT_NE(cache.get(regex("a*")), first);
  EXPECT_NE(cache.get({.kind = GrammarKind::kChoice, .choices = {"a+"}}), first);
}

TEST(GrammarCache, DropsTheLeastRecentlyUsed) {
  const auto vocabulary = test_vocabulary(1, 0);
  const size_t one = compile_grammar(regex("a"), vocabulary)->bytes();
  GrammarCache cache(vocabulary, 2 * one + one / 2);
  const auto a = cache.get(regex("a"));
  cache.get(regex("b"));
  cache.get(regex("a"));
  cache.get(regex("c"));
  EXPECT_EQ(cache.size(), 2u);
  EXPECT_LE(cache.bytes(), 2 * one + one / 2);
  EXPECT_EQ(cache.get(regex("a")), a);
}

TEST(GrammarCache, DoesNotKeepFailures) {
  GrammarCache cache(test_vocabulary(1, 0), size_t{1} << 30);
  EXPECT_THROW(cache.get(regex("(")), Error);
  EXPECT_THROW(cache.get(regex("(")), Error);
  EXPECT_EQ(cache.size(), 0u);
}

}  // namespace
}  // namespace hearth::grammar
