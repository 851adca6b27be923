#include "engine/drafter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hearth::engine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<TokenId> lookup(const std::vector<TokenId>& tokens, int32_t most) {
  std::vector<TokenId> guess;
  const GuessOrder order{.tokens = tokens, .most = most, .guess = &guess};
  EXPECT_EQ(PromptLookup().guess({&order, 1}), 0);
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

}  // namespace
}  // namespace hearth::engine
