#include "engine/sequence.h"

#include <gtest/gtest.h>
#include <limits>

namespace hearth::engine {
namespace {

TEST(Rank, WithoutAgeingPrioritiesAreStrict) {
  const Rank late_but_urgent = make_rank(1000 * kSecond, -1, 2, 0);
  const Rank early = make_rank(0, 0, 1, 0);
  EXPECT_LT(late_but_urgent, early);
  EXPECT_LT(early, make_rank(0, 0, 2, 0)) << "then by arrival";
}

TEST(Rank, AWaitMakesUpForPriority) {
  const Nanos aging = 10 * kSecond;
  const Rank old = make_rank(0, 1, 1, aging);
  EXPECT_LT(make_rank(9 * kSecond, 0, 2, aging), old);
  EXPECT_LT(old, make_rank(11 * kSecond, 0, 3, aging));
}

TEST(Rank, SaturatesInsteadOfWrapping) {
  constexpr int32_t kLowest = std::numeric_limits<int32_t>::max();
  constexpr int32_t kHighest = std::numeric_limits<int32_t>::min();
  const Nanos aging = 1'000'000 * kSecond;
  EXPECT_LT(make_rank(kSecond, kHighest, 1, aging), make_rank(0, 0, 0, aging));
  EXPECT_LT(make_rank(0, 0, 0, aging), make_rank(kSecond, kLowest, 1, aging));
}

struct OneSequence {
  explicit OneSequence(int32_t prompt, int32_t output) {
    owner.prompt_tokens = prompt;
    sequence.owner = &owner;
    sequence.tokens.assign(static_cast<size_t>(prompt + output), 1);
  }
  RequestState owner;
  Sequence sequence;
};

TEST(Skippable, AllButTheLastToken) {
  OneSequence one(32, 0);
  EXPECT_EQ(skippable(one.sequence), 31);
}

TEST(Skippable, NothingOfAPromptThatIsScoredUntilItIsTold) {
  OneSequence one(32, 8);
  one.sequence.sampling.prompt_logprobs = 0;
  EXPECT_EQ(skippable(one.sequence), 0);
  one.owner.prompt_told = 20;
  EXPECT_EQ(skippable(one.sequence), 20);
  one.owner.prompt_told = 31;
  EXPECT_EQ(skippable(one.sequence), 39);
  one.owner.prompt_told = 0;
  one.sequence.rank.choice = 1;
  EXPECT_EQ(skippable(one.sequence), 39) << "only the first choice tells";
}

TEST(Skippable, NothingWhereEveryRowIsPooled) {
  OneSequence one(32, 0);
  one.owner.request.pooling = Pooling::kMean;
  EXPECT_EQ(skippable(one.sequence), 0);
  one.owner.request.pooling = Pooling::kLast;
  EXPECT_EQ(skippable(one.sequence), 31);
}

TEST(ExtendKeys, IsAChainOverFullBlocks) {
  OneSequence one(40, 0);
  const PrefixHasher hasher(1);
  extend_keys(one.sequence, 2, hasher);
  ASSERT_EQ(one.sequence.keys.size(), 2u);
  const BlockKey root = hasher.root(0, kBaseModel);
  EXPECT_EQ(one.sequence.keys[0],
            hasher.extend(root, std::span(one.sequence.tokens).first(kBlockTokens)));
  EXPECT_NE(one.sequence.keys[0], one.sequence.keys[1]);
}

}  // namespace
}  // namespace hearth::engine
