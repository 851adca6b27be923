// One request from arrival to end, and what is wrong with limits and calls.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "engine/scheduler_test_support.h"

namespace hearth::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Scheduler, AnswersOneRequest) {
  Engine engine(small_config());
  ASSERT_TRUE(engine.add(make_request(1, 20, 3)).accepted());
  const StepPlan& plan = engine.plan();
  ASSERT_EQ(plan.sequences.size(), 1u);
  EXPECT_EQ(plan.sequences[0].count, 20);
  EXPECT_EQ(plan.sequences[0].want, Want::kToken);
  EXPECT_EQ(plan.sequences[0].blocks.size(), 2u);
  EXPECT_TRUE(plan.sequences[0].fresh);
  EXPECT_EQ(engine.commit(Engine::answer(plan))[0].tokens[0].token, kSampled);
  EXPECT_EQ(engine.step()[0].finish, FinishReason::kNone);
  const Output last = engine.step()[0];
  EXPECT_EQ(last.finish, FinishReason::kLength);
  EXPECT_TRUE(last.request_done);
  EXPECT_EQ(last.usage.prompt_tokens, 20);
  EXPECT_EQ(last.usage.output_tokens, 3);
  EXPECT_EQ(last.timing.queued, kSecond);
  EXPECT_EQ(last.timing.scheduled, kSecond);
  EXPECT_EQ(last.timing.first_token, kSecond + kMillisecond);
  EXPECT_EQ(last.timing.last_token, kSecond + 3 * kMillisecond);
  EXPECT_FALSE(engine.scheduler.busy());
  EXPECT_THAT(engine.plan().sequences, IsEmpty());
  EXPECT_EQ(engine.scheduler.stats().blocks_used, 0);
}

TEST(Scheduler, StopTokensEndAndMinTokensForbidThem) {
  Engine engine(small_config());
  Request request = make_request(1, 4, 10);
  request.stop_tokens = {7, 8};
  request.min_tokens = 1;
  engine.add(std::move(request));
  const StepPlan& first = engine.plan();
  EXPECT_THAT(first.sequences[0].banned, ElementsAre(7, 8));
  engine.commit(Engine::answer(first));
  const StepPlan& second = engine.plan();
  EXPECT_THAT(second.sequences[0].banned, IsEmpty());
  const Output last = engine.commit(Engine::answer(second, 8))[0];
  EXPECT_EQ(last.finish, FinishReason::kStop);
  EXPECT_EQ(last.stop_token, 8);
  EXPECT_EQ(last.tokens.size(), 1u) << "the stop token is told";
}

TEST(Scheduler, EndsAtMaxModelLen) {
  EngineConfig config = small_config();
  config.max_model_len = 24;
  Engine engine(config);
  engine.add(make_request(1, 20, kAsManyAsFit));
  EXPECT_EQ(engine.drain(), 4);
  EXPECT_EQ(engine.scheduler.stats().generation_tokens, 4u);
}

TEST(Scheduler, ComputesAPromptWithoutSampling) {
  Engine engine(small_config());
  engine.add(make_request(1, 20, 0));
  const StepPlan& plan = engine.plan();
  EXPECT_EQ(plan.sequences[0].want, Want::kNothing);
  const Output only = engine.commit(Engine::answer(plan))[0];
  EXPECT_EQ(only.finish, FinishReason::kLength);
  EXPECT_EQ(only.usage.output_tokens, 0);
}

TEST(Scheduler, PoolsAnEmbedding) {
  Engine engine(small_config());
  Request request = make_request(1, 200, kAsManyAsFit);
  request.pooling = Pooling::kMean;
  engine.add(std::move(request));
  const StepPlan& plan = engine.plan();
  EXPECT_EQ(plan.sequences[0].want, Want::kNothing) << "128 of 200";
  EXPECT_THAT(engine.commit(Engine::answer(plan)), IsEmpty());
  engine.plan();
  EXPECT_EQ(plan.sequences[0].want, Want::kPooled);
  EXPECT_EQ(plan.sequences[0].pooling, Pooling::kMean);
  const Output only = engine.commit(Engine::answer(plan))[0];
  EXPECT_THAT(only.pooled, ElementsAre(1, 2, 3));
  EXPECT_EQ(only.finish, FinishReason::kStop);
}

TEST(Scheduler, TakesSeveralTokensAtOnceAndStopsAmongThem) {
  Engine engine(small_config());
  Request request = make_request(1, 4, 10);
  request.stop_tokens = {9};
  engine.add(std::move(request));
  engine.plan();
  SequenceResult several;
  several.sampled = {{.token = 5}, {.token = 6}, {.token = 7}};
  EXPECT_EQ(engine.commit({{several}})[0].tokens.size(), 3u);
  const StepPlan& plan = engine.plan();
  EXPECT_EQ(plan.sequences[0].computed, 4);
  EXPECT_EQ(plan.sequences[0].count, 3) << "all of them still have to be computed";
  several.sampled = {{.token = 8}, {.token = 9}, {.token = 10}};
  const Output last = engine.commit({{several}})[0];
  EXPECT_EQ(last.finish, FinishReason::kStop);
  EXPECT_EQ(last.tokens.size(), 2u) << "nothing after the stop token";
  EXPECT_EQ(last.usage.output_tokens, 5);
}

TEST(Scheduler, AnErrorOfTheRunnerEndsOnlyItsSequence) {
  Engine engine(small_config());
  engine.add(make_request(1, 4, 2));
  engine.add(make_request(2, 4, 2));
  StepResult result = Engine::answer(engine.plan());
  result.sequences[0].sampled.clear();
  result.sequences[0].error = "logits are not numbers";
  const auto outputs = engine.commit(result);
  EXPECT_EQ(outputs[0].finish, FinishReason::kError);
  EXPECT_EQ(outputs[0].error, "logits are not numbers");
  EXPECT_EQ(outputs[1].finish, FinishReason::kNone);
  engine.drain();
}

// Allows one token, a given number of times.
class OnlyToken final : public TokenConstraint {
 public:
  OnlyToken(TokenId token, int times) : token_(token), left_(times) {}
  void fill(std::span<uint32_t>) override {}
  bool accept(TokenId token) override { return token == token_ && left_-- > 0; }
  bool finished() const override { return left_ == 0; }

 private:
  TokenId token_;
  int left_;
};

TEST(Scheduler, AConstraintEndsTheSequenceWhenItIsFinishedOrBroken) {
  Engine engine(small_config());
  for (RequestId id = 1; id <= 2; ++id) {
    Request request = make_request(id, 4, 10);
    request.constraints = {std::make_shared<OnlyToken>(id == 1 ? kSampled : kSampled + 1, 1)};
    engine.add(std::move(request));
  }
  const StepPlan& plan = engine.plan();
  EXPECT_NE(plan.sequences[0].constraint, nullptr);
  const auto outputs = engine.commit(Engine::answer(plan));
  EXPECT_EQ(outputs[0].finish, FinishReason::kStop);
  EXPECT_EQ(outputs[0].tokens.size(), 1u);
  EXPECT_EQ(outputs[1].finish, FinishReason::kError);
  EXPECT_THAT(outputs[1].error, HasSubstr("1000"));
  EXPECT_THAT(outputs[1].tokens, IsEmpty());
}

TEST(Scheduler, ServerEndsOneChoice) {
  Engine engine(small_config());
  Request request = make_request(1, 4, 10);
  request.choices = 2;
  engine.add(std::move(request));
  engine.step();
  engine.step();
  engine.scheduler.finish(1, 0, FinishReason::kStop);
  EXPECT_EQ(engine.scheduler.stats().running, 1);
  const auto outputs = engine.step();
  ASSERT_EQ(outputs.size(), 1u);
  EXPECT_EQ(outputs[0].choice, 1);
  engine.scheduler.finish(1, 1, FinishReason::kStop);
  EXPECT_FALSE(engine.scheduler.busy());
  engine.scheduler.finish(1, 1, FinishReason::kStop);
}

TEST(Cancel, WhileAStepIsInFlightTakesEffectAtItsCommit) {
  Engine engine(small_config());
  engine.add(make_request(1, 20, 5));
  engine.add(make_request(2, 20, 5));
  const StepPlan& plan = engine.plan();
  engine.scheduler.cancel(1);
  EXPECT_EQ(plan.sequences[0].tokens.size(), 20u) << "the runner still reads it";
  EXPECT_EQ(engine.scheduler.stats().blocks_used, 4);
  const auto outputs = engine.commit(Engine::answer(plan));
  ASSERT_EQ(outputs.size(), 1u);
  EXPECT_EQ(outputs[0].request, 2u);
  EXPECT_EQ(engine.scheduler.stats().blocks_used, 2);
  EXPECT_EQ(engine.scheduler.stats().finished[static_cast<size_t>(FinishReason::kAbort)], 1u);
  engine.scheduler.cancel(1);
  engine.drain();
}

TEST(Cancel, AtRestTakesEffectAtOnce) {
  Engine engine(small_config());
  Request request = make_request(1, 200, 5);
  request.choices = 3;
  engine.add(std::move(request));
  engine.add(make_request(2, 20, 5));
  engine.step();
  engine.scheduler.cancel(1);
  engine.scheduler.cancel(2);
  engine.scheduler.cancel(99);
  EXPECT_FALSE(engine.scheduler.busy());
  const Stats stats = engine.scheduler.stats();
  EXPECT_EQ(stats.blocks_used + stats.running + stats.waiting + stats.waiting_siblings, 0);
  EXPECT_EQ(stats.queued_requests + stats.queued_tokens, 0);
}

TEST(Scheduler, RefusesLimitsThatContradictEachOther) {
  EngineConfig config = small_config();
  config.max_num_batched_tokens = 4;
  try {
    Scheduler scheduler(config);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.where, "max_num_batched_tokens");
    EXPECT_THAT(error.text, HasSubstr("max_num_seqs = 8"));
  }
}

TEST(SchedulerDeathTest, StepsAreCommittedInTurn) {
  Engine engine(small_config());
  engine.add(make_request(1, 4, 2));
  engine.plan();
  EXPECT_DEATH(engine.plan(), "not been committed");
  EXPECT_DEATH(engine.commit({}), "0 results for 1");
  EXPECT_DEATH(engine.add(make_request(1, 4, 2)), "in the engine already");
}

}  // namespace
}  // namespace hearth::engine
