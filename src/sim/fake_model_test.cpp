#include "sim/fake_model.h"

#include <array>
#include <gtest/gtest.h>
#include <numeric>

namespace hearth::sim {
namespace {

using engine::BlockId;
using engine::StepPlan;
using engine::StepSequence;
using engine::TokenId;

engine::EngineConfig small() {
  engine::EngineConfig config;
  config.num_blocks = 8;
  config.max_num_seqs = 2;
  return config;
}

// One sequence of 20 prompt tokens in a runner of its own.
struct OneText {
  OneText()
      : runner(
            small(), [this](engine::RequestId) -> const FakeRequest& { return fake; }, Fault::kNone,
            1) {
    tokens.resize(20);
    std::iota(tokens.begin(), tokens.end(), 0);
  }

  TokenId compute(int32_t from, int32_t to, std::array<BlockId, 2> blocks) {
    StepPlan plan;
    StepSequence& step = plan.sequences.emplace_back();
    step.fresh = from == 0;
    step.tokens = tokens;
    step.prompt_tokens = 20;
    step.computed = from;
    step.count = to - from;
    step.blocks = blocks;
    step.sampling = &sampling;
    step.want = to == 20 ? engine::Want::kToken : engine::Want::kNothing;
    const auto result = runner.run(plan);
    return to == 20 ? result.sequences[0].sampled[0].token : -1;
  }

  TokenId alone() const {
    engine::Request request;
    request.prompt = tokens;
    return answer_alone(request, fake, 0, sampling.seed, 21, nullptr).tokens.at(0);
  }

  std::vector<TokenId> tokens;
  engine::SamplingParams sampling;
  FakeRequest fake;
  FakeRunner runner;
};

TEST(FakeRunner, ChunksDoNotMatter) {
  OneText text;
  EXPECT_EQ(text.compute(0, 20, {3, 5}), text.alone());
  text.compute(0, 7, {1, 2});
  text.compute(7, 18, {1, 2});
  EXPECT_EQ(text.compute(18, 20, {1, 2}), text.alone());
}

TEST(FakeRunner, AWrongBlockChangesTheAnswer) {
  OneText text;
  text.compute(0, 18, {1, 2});
  EXPECT_NE(text.compute(18, 20, {3, 2}), text.alone());
}

TEST(FakeRunner, TenantsGetDifferentAnswers) {
  OneText text;
  const TokenId mine = text.alone();
  text.fake.salt = 1;
  EXPECT_NE(text.alone(), mine);
}

TEST(FakeRunner, NoticesASlotThatChangesHands) {
  OneText text;
  text.compute(0, 20, {1, 2});
  EXPECT_EQ(text.runner.complaint(), "");
  StepPlan plan;
  StepSequence& step = plan.sequences.emplace_back();
  step.request = 9;
  step.sampling = &text.sampling;
  text.runner.run(plan);
  EXPECT_NE(text.runner.complaint(), "");
}

TEST(FakeConstraint, AllowsWhatItAcceptsAndFinishes) {
  FakeConstraint constraint(5, 2);
  std::array<uint32_t, 2> allowed;
  constraint.fill(allowed);
  EXPECT_EQ(allowed[0] & 3u, 2u) << "every other token";
  EXPECT_FALSE(constraint.accept(0));
  EXPECT_TRUE(constraint.accept(1));
  EXPECT_FALSE(constraint.finished());
  constraint.fill(allowed);
  EXPECT_TRUE(constraint.accept(allowed[0] & 1u ? 0 : 1));
  EXPECT_TRUE(constraint.finished());
}

}  // namespace
}  // namespace hearth::sim
