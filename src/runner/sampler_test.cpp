#include "runner/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <map>
#include <set>

#include "base/random.h"

namespace hearth::runner {
namespace {

using engine::SamplingParams;
using engine::TokenId;
using testing::ElementsAre;

class Ban final : public engine::TokenConstraint {
 public:
  explicit Ban(std::set<TokenId> allowed) : allowed_(std::move(allowed)) {}
  void fill(std::span<uint32_t> bits) override {
    std::fill(bits.begin(), bits.end(), 0u);
    for (TokenId t : allowed_) bits[static_cast<size_t>(t) / 32] |= 1u << (t % 32);
  }
  bool accept(TokenId) override { return true; }
  bool finished() const override { return false; }

 private:
  std::set<TokenId> allowed_;
};

class Sampler : public testing::Test {
 protected:
  SampleOutcome outcome(std::vector<float> logits, engine::TokenConstraint* constraint = nullptr,
                        std::vector<TokenId> banned = {}) {
    counts_.clear();
    return sample({logits, tokens_, prompt_, params_, constraint, banned}, counts_, scratch_);
  }
  TokenId token(std::vector<float> logits) { return outcome(std::move(logits)).token.token; }
  // How often each token came over many seeds.
  std::map<TokenId, double> frequencies(const std::vector<float>& logits) {
    constexpr int kDraws = 20000;
    std::map<TokenId, double> result;
    for (int i = 0; i < kDraws; ++i) {
      params_.seed = static_cast<uint64_t>(i);
      result[token(logits)] += 1.0 / kDraws;
    }
    return result;
  }
  std::set<TokenId> support(const std::vector<float>& logits) {
    std::set<TokenId> result;
    for (const auto& [t, share] : frequencies(logits)) result.insert(t);
    return result;
  }

  SamplingParams params_;
  std::vector<TokenId> tokens_;
  int32_t prompt_ = 0;
  TokenCounts counts_;
  SamplerScratch scratch_;
};

// Logits whose softmax is 0.5, 0.25, 0.15, 0.1.
const std::vector<float> kFour = {std::log(0.5f), std::log(0.25f), std::log(0.15f), std::log(0.1f)};

TEST_F(Sampler, GreedyTakesTheFirstOfTheBest) {
  params_.temperature = 0;
  EXPECT_EQ(token({1, 3, 3, 2}), 1);
}

TEST_F(Sampler, DrawsWithTheProbabilitiesOfTheModel) {
  const auto shares = frequencies(kFour);
  EXPECT_NEAR(shares.at(0), 0.50, 0.015);
  EXPECT_NEAR(shares.at(1), 0.25, 0.015);
  EXPECT_NEAR(shares.at(2), 0.15, 0.015);
  EXPECT_NEAR(shares.at(3), 0.10, 0.015);
}

TEST_F(Sampler, TemperatureSharpens) {
  params_.temperature = 0.5f;
  const double total = 0.25 + 0.0625 + 0.0225 + 0.01;
  EXPECT_NEAR(frequencies(kFour).at(0), 0.25 / total, 0.015);
}

TEST_F(Sampler, TopK) {
  params_.top_k = 2;
  EXPECT_THAT(support(kFour), ElementsAre(0, 1));
  EXPECT_NEAR(frequencies(kFour).at(0), 2.0 / 3, 0.015);
}

TEST_F(Sampler, TopKOfEqualLogitsTakesTheLowerIds) {
  params_.top_k = 2;
  EXPECT_THAT(support({1, 1, 1, 1, 1}), ElementsAre(0, 1));
}

TEST_F(Sampler, TopPKeepsTheTokenThatReachesIt) {
  params_.top_p = 0.6f;
  EXPECT_THAT(support(kFour), ElementsAre(0, 1));
  params_.top_p = 0.49f;
  EXPECT_THAT(support(kFour), ElementsAre(0));
  params_.top_p = 0;
  EXPECT_THAT(support(kFour), ElementsAre(0));
}

TEST_F(Sampler, TopPCountsWhatTopKLeft) {
  params_.top_k = 2;
  params_.top_p = 0.6f;  // of 0.75: the first token has two thirds
  EXPECT_THAT(support(kFour), ElementsAre(0));
}

TEST_F(Sampler, MinP) {
  params_.min_p = 0.25f;
  EXPECT_THAT(support(kFour), ElementsAre(0, 1, 2));
}

TEST_F(Sampler, TypicalLeavesOutTheTooLikely) {
  // Entropy 1.21; surprises 0.69, 1.39, 1.90, 2.30: the second token is the most typical.
  params_.typical_p = 0.2f;
  EXPECT_THAT(support(kFour), ElementsAre(1));
}

TEST_F(Sampler, RepetitionPenaltyDividesOrMultiplies) {
  params_.temperature = 0;
  params_.repetition_penalty = 2;
  tokens_ = {0, 1};
  prompt_ = 1;
  EXPECT_EQ(token({3, 1, 2}), 2);       // 1.5, 0.5, 2
  EXPECT_EQ(token({-1, -5, -1.5}), 2);  // -2, -10, -1.5
}

TEST_F(Sampler, PresenceAndFrequencyCountTheOutputOnly) {
  params_.temperature = 0;
  params_.frequency_penalty = 1;
  tokens_ = {0, 0, 0, 1, 1, 2};
  prompt_ = 3;
  EXPECT_EQ(token({3, 3.5, 3.2}), 0);  // 3, 1.5, 2.2
  params_.frequency_penalty = 0;
  params_.presence_penalty = 1;
  EXPECT_EQ(token({2, 3.1, 3.2}), 2);  // 2, 2.1, 2.2
}

TEST_F(Sampler, CountsGrowFromStepToStep) {
  counts_.update(std::vector<TokenId>{5, 6}, 1);
  counts_.update(std::vector<TokenId>{5, 6, 6, 5}, 1);
  EXPECT_EQ(counts_.counts().at(6).output, 2);
  EXPECT_EQ(counts_.counts().at(5).output, 1);
}

TEST_F(Sampler, DryPenalisesWhatLengthensARepetition) {
  params_.temperature = 0;
  params_.dry_multiplier = 1;
  params_.dry_base = 2;
  params_.dry_allowed_length = 2;
  tokens_ = {1, 2, 3, 4, 9, 1, 2, 3};                      // "1 2 3" came before and went on with 4
  EXPECT_EQ(token({0, 0, 0, 0, 1.9f, 0, 0, 0, 0, 0}), 0);  // 4 loses 1 * 2^(3-2) = 2
  EXPECT_EQ(token({0, 0, 0, 0, 2.1f, 0, 0, 0, 0, 0}), 4);
  params_.dry_breakers = {2};  // only "3" is left of the repetition, shorter than allowed
  EXPECT_EQ(token({0, 0, 0, 0, 1.9f, 0, 0, 0, 0, 0}), 4);
  params_.dry_breakers = {};
  params_.dry_range = 3;  // the first "1 2 3" is out of sight
  EXPECT_EQ(token({0, 0, 0, 0, 1.9f, 0, 0, 0, 0, 0}), 4);
}

TEST_F(Sampler, DryPenaltyOfALongRepetitionStaysFinite) {
  params_.temperature = 0;
  params_.dry_multiplier = 1;
  tokens_.assign(5000, 1);
  EXPECT_EQ(token({0, 100, 0}), 0);
  EXPECT_EQ(outcome({0, 100, 0}).error, "");
}

TEST_F(Sampler, BiasBanAndConstraint) {
  params_.temperature = 0;
  params_.logit_bias = {{2, 10}, {99, 5}, {-1, 5}};
  EXPECT_EQ(token({1, 2, 0}), 2);
  EXPECT_EQ(outcome({1, 2, 0}, nullptr, {2}).token.token, 1);
  Ban first({0});
  EXPECT_EQ(outcome({1, 2, 0}, &first).token.token, 0);
  EXPECT_EQ(outcome({1, 2, 0}, &first, {0}).error, "the constraint allows no token here");
}

TEST_F(Sampler, DamagedLogitsEndTheSequence) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NE(outcome({nan, nan}).error, "");
}

TEST_F(Sampler, LogprobsAreThoseOfTheModel) {
  params_.temperature = 0.1f;
  params_.logprobs = 2;
  params_.logit_bias = {{3, 100}};
  const engine::SampledToken result = outcome(kFour).token;
  EXPECT_EQ(result.token, 3);
  EXPECT_NEAR(result.logprob, std::log(0.1), 1e-6);
  EXPECT_EQ(result.rank, 4);
  ASSERT_EQ(result.top.size(), 2u);
  EXPECT_EQ(result.top[0].token, 0);
  EXPECT_NEAR(result.top[1].logprob, std::log(0.25), 1e-6);
}

TEST_F(Sampler, TheRandomNumberDependsOnSeedAndIndexOnly) {
  params_.seed = 7;
  tokens_ = {1, 2, 3};
  prompt_ = 2;
  std::vector<float> logits(1000, 0.0f);
  const TokenId once = token(logits);
  tokens_ = {4, 4, 4, 4, 5};
  prompt_ = 4;  // another text, the same index
  EXPECT_EQ(token(logits), once);
  prompt_ = 3;
  EXPECT_NE(token(logits), once);
}

// The partial selection against a full sort: over many seeds nothing outside the nucleus
// comes.
TEST_F(Sampler, TopPIsThatOfAFullSort) {
  Random random(1);
  for (int round = 0; round < 40; ++round) {
    std::vector<float> logits(20 + random.below(1500));
    const double spread = 6 * random.uniform();
    for (float& logit : logits) logit = static_cast<float>(random.normal() * spread);
    params_.top_p = static_cast<float>(random.uniform());
    std::vector<float> sorted = logits;
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    double total = 0;
    for (float logit : sorted) total += std::exp(logit - sorted[0]);
    double sum = 0;
    size_t kept = 0;
    while (sum < params_.top_p * total) sum += std::exp(sorted[kept++] - sorted[0]);
    const float last = sorted[kept - 1];
    for (int draw = 0; draw < 200; ++draw) {
      params_.seed = random.next();
      EXPECT_GE(logits[static_cast<size_t>(token(logits))], last) << "round " << round;
    }
  }
}

}  // namespace
}  // namespace hearth::runner
