#include "engine/drafter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hearth::engine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<TokenId> lookup(const std::vector<TokenId>& tokens, int32_t most) {
  std::vector<TokenId> guess;
  PromptLookup().guess(1, 0, tokens, most, guess);
  return guess;
}

TEST(PromptLookup, GuessesWhatFollowedTheLastTokens) {
  EXPECT_THAT(lookup({1, 2, 3, 4, 5, 9, 1, 2}, 3), ElementsAre(3, 4, 5));
}

TEST(PromptLookup, PrefersTheLongerMatchAndOfEqualOnesTheLater) {
  EXPECT_THAT(lookup({7, 1, 2, 50, 1, 2, 60, 7, 1, 2}, 1), ElementsAre(50));
  EXPECT_THAT(lookup({8, 1, 2, 50, 9, 1, 2, 60, 7, 1, 2}, 1), ElementsAre(60));
}

TEST(PromptLookup, ACircleIsReadRoundAndRound) {
  EXPECT_THAT(lookup({1, 2, 1, 2, 1, 2}, 5), ElementsAre(1, 2, 1, 2, 1));
}

TEST(PromptLookup, SaysNothingWhereNothingCameBefore) {
  EXPECT_THAT(lookup({}, 4), IsEmpty());
  EXPECT_THAT(lookup({1}, 4), IsEmpty());
  EXPECT_THAT(lookup({1, 2, 3, 4}, 4), IsEmpty());
  EXPECT_THAT(lookup({1, 9, 2, 9}, 4), IsEmpty()) << "one token is no match";
  EXPECT_THAT(lookup({1, 2, 3, 1, 2}, 0), IsEmpty());
}

TEST(GuessLength, GrowsWhileGuessesAreRight) {
  GuessLength length;
  EXPECT_EQ(length.next(8), 2);
  length.learn(2, 2, 8);
  EXPECT_EQ(length.next(8), 4);
  length.learn(4, 4, 8);
  length.learn(8, 8, 8);
  EXPECT_EQ(length.next(8), 8);
  length.learn(8, 3, 8);
  EXPECT_EQ(length.next(8), 3);
}

TEST(GuessLength, HardlyGuessesAtATextThatDoesNotRepeatItself) {
  GuessLength length;
  int guesses = 0;
  for (int step = 0; step < 1000; ++step) {
    const int32_t most = length.next(8);
    if (most == 0) continue;
    ++guesses;
    length.learn(most, 0, 8);
  }
  EXPECT_LT(guesses, 30);
}

TEST(GuessLength, OneRightGuessEndsThePauses) {
  GuessLength length;
  for (int i = 0; i < 3; ++i) length.learn(1, 0, 8);
  EXPECT_EQ(length.next(8), 0);
  length.learn(1, 1, 8);
  for (int i = 0; i < 8; ++i) length.next(8);
  EXPECT_GT(length.next(8), 0);
}

}  // namespace
}  // namespace hearth::engine
