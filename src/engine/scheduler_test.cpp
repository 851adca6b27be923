#include "engine/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>
#include <utility>

#include "base/error.h"

namespace hearth::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

constexpr TokenId kSampled = 1000;

EngineConfig small_config() {
  EngineConfig config;
  config.num_blocks = 64;
  config.max_model_len = 600;
  config.max_num_seqs = 8;
  config.max_num_batched_tokens = 128;
  config.long_prefill_token_threshold = 48;
  config.max_long_partial_prefills = 1;
  config.watermark_permille = 0;
  return config;
}

// No two requests share a token.
Request make_request(RequestId id, int32_t prompt_tokens, int32_t max_tokens) {
  Request request;
  request.id = id;
  request.prompt.resize(static_cast<size_t>(prompt_tokens));
  std::iota(request.prompt.begin(), request.prompt.end(), static_cast<TokenId>(id) * 100'000);
  request.max_tokens = max_tokens;
  return request;
}

// What each request computes in a step.
std::vector<std::pair<RequestId, int32_t>> counts(const StepPlan& plan) {
  std::vector<std::pair<RequestId, int32_t>> result;
  for (const StepSequence& step : plan.sequences) result.emplace_back(step.request, step.count);
  return result;
}

// A scheduler and a runner that always samples kSampled.
struct Engine {
  explicit Engine(const EngineConfig& config, std::unique_ptr<StepBudget> budget = nullptr)
      : scheduler(config, std::move(budget)) {}

  Admission add(Request request) { return scheduler.add(std::move(request), now); }
  const StepPlan& plan() { return *(planned = &scheduler.plan(now)); }

  static StepResult answer(const StepPlan& plan, TokenId token = kSampled) {
    StepResult result;
    for (const StepSequence& step : plan.sequences) {
      SequenceResult& one = result.sequences.emplace_back();
      if (step.want == Want::kToken) one.sampled.push_back({.token = token});
      if (step.want == Want::kPooled) one.pooled = {1, 2, 3};
      if (step.sampling->prompt_logprobs < 0) continue;
      for (int32_t i = step.computed + 1; i <= step.computed + step.count; ++i) {
        if (i < step.prompt_tokens) one.prompt.push_back({.token = i});
      }
    }
    return result;
  }
  std::span<const Output> commit(StepResult with) {
    result = std::move(with);
    now += kMillisecond;
    return scheduler.commit(result, now);
  }
  // Answers what was planned last.
  std::span<const Output> commit() { return commit(answer(*planned)); }
  std::span<const Output> step(TokenId token = kSampled) { return commit(answer(plan(), token)); }
  // Steps until everything has ended; the number of steps.
  int drain() {
    int steps = 0;
    for (; scheduler.busy(); ++steps) step();
    return steps;
  }

  Scheduler scheduler;
  const StepPlan* planned = nullptr;
  StepResult result;
  Nanos now = kSecond;
};

// --- one request ---------------------------------------------------------------------------------

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

// --- what a step holds ---------------------------------------------------------------------------

TEST(Scheduler, GenerationComesFirstAndPromptsFillTheStep) {
  Engine engine(small_config());
  engine.add(make_request(1, 10, 100));
  engine.add(make_request(2, 10, 100));
  engine.step();
  engine.add(make_request(3, 400, 1));
  EXPECT_THAT(counts(engine.plan()), ElementsAre(Pair(1, 1), Pair(2, 1), Pair(3, 126)));
}

TEST(Scheduler, AShortPromptIsNotStuckBehindALongOne) {
  Engine engine(small_config());
  engine.add(make_request(1, 500, 1));
  EXPECT_THAT(counts(engine.plan()), ElementsAre(Pair(1, 128))) << "alone it has the whole step";
  engine.commit();
  engine.add(make_request(2, 30, 5));
  EXPECT_THAT(counts(engine.plan()), ElementsAre(Pair(1, 98), Pair(2, 30)));
}

TEST(Scheduler, LongPromptsShareTheStepWithShortOnes) {
  EngineConfig config = small_config();
  config.max_long_partial_prefills = 2;
  Engine engine(config);
  engine.add(make_request(1, 300, 1));
  engine.add(make_request(2, 300, 1));
  engine.add(make_request(3, 30, 1));
  EXPECT_THAT(counts(engine.plan()), ElementsAre(Pair(1, 56), Pair(2, 42), Pair(3, 30)));
}

TEST(Scheduler, ALongPromptAdvancesUnderAFloodOfShortOnes) {
  EngineConfig config = small_config();
  config.num_blocks = 200;
  Engine engine(config);
  engine.add(make_request(1, 400, 1));
  RequestId next = 2;
  int steps = 0;
  for (bool done = false; !done; ++steps) {
    for (int i = 0; i < 3; ++i) engine.add(make_request(next++, 45, 1));
    for (const Output& output : engine.step()) done |= output.request == 1;
  }
  // A share of half the step, whatever else comes.
  EXPECT_LE(steps, 400 / 48 + 1);
}

TEST(Scheduler, OneLaneDoesNotPassTheOtherForMemoryForEver) {
  EngineConfig config = small_config();
  config.num_blocks = 20;
  config.max_overtaken = 3;
  Engine engine(config);
  engine.add(make_request(1, 20, 100));
  engine.step();
  engine.add(make_request(2, 300, 1));  // 19 blocks: waits until request 1 is gone
  int passed = 0;
  for (RequestId id = 3; id < 30; ++id) {
    engine.add(make_request(id, 10, 1));
    for (const auto& [request, count] : counts(engine.plan())) passed += request > 2;
    engine.commit();
  }
  EXPECT_EQ(passed, 3);
  engine.drain();
}

TEST(Scheduler, EqualPrioritiesAreServedInOrderOfArrival) {
  EngineConfig config = small_config();
  config.max_num_seqs = 1;
  Engine engine(config);
  for (RequestId id = 1; id <= 5; ++id) engine.add(make_request(id, 4, 1));
  for (RequestId id = 1; id <= 5; ++id) EXPECT_EQ(engine.step()[0].request, id);
}

class NoTokens final : public StepBudget {
 public:
  int32_t tokens(const StepLoad& load, Nanos) override {
    last = load;
    return 0;
  }
  void learn(const StepWork&, Nanos) override {}
  StepLoad last;
};

TEST(Scheduler, NoBudgetPolicyCanStopTheEngine) {
  auto budget = std::make_unique<NoTokens>();
  const NoTokens& policy = *budget;
  Engine engine(small_config(), std::move(budget));
  engine.add(make_request(1, 4, 3));
  EXPECT_EQ(engine.drain(), 4 + 2);
  EXPECT_EQ(policy.last.generating, 1);
  EXPECT_EQ(policy.last.generating_context, 6);
}

// --- choices of one prompt -----------------------------------------------------------------------

TEST(Scheduler, ChoicesShareOnePrompt) {
  Engine engine(small_config());
  Request request = make_request(1, 40, 4);
  request.choices = 3;
  request.sampling.seed = 5;
  engine.add(std::move(request));
  EXPECT_THAT(counts(engine.plan()), ElementsAre(Pair(1, 40))) << "computed once";
  engine.commit();
  const StepPlan& plan = engine.plan();
  EXPECT_THAT(counts(plan), ElementsAre(Pair(1, 1), Pair(1, 1), Pair(1, 1)));
  ASSERT_EQ(plan.copies.size(), 2u);
  const auto& first = plan.sequences[0];
  for (size_t choice = 1; choice < 3; ++choice) {
    const StepSequence& step = plan.sequences[choice];
    EXPECT_EQ(step.computed, 39) << "the last prompt token gives the first choice of token";
    EXPECT_EQ(step.blocks[0], first.blocks[0]);
    EXPECT_EQ(step.blocks[1], first.blocks[1]);
    EXPECT_NE(step.blocks[2], first.blocks[2]);
    EXPECT_EQ(plan.copies[choice - 1].from, first.blocks[2]);
    EXPECT_EQ(plan.copies[choice - 1].to, step.blocks[2]);
    EXPECT_NE(step.sampling->seed, first.sampling->seed);
  }
  EXPECT_EQ(engine.scheduler.blocks().references(first.blocks[0]), 3);
  engine.commit(Engine::answer(plan));
  engine.drain();
  EXPECT_EQ(engine.scheduler.stats().generation_tokens, 12u);
}

TEST(Scheduler, NothingIsCopiedWhereTheLastBlockHoldsNothingToKeep) {
  Engine engine(small_config());
  Request request = make_request(1, 33, 4);
  request.choices = 2;
  engine.add(std::move(request));
  engine.step();
  const StepPlan& plan = engine.plan();
  EXPECT_THAT(plan.copies, IsEmpty());
  EXPECT_EQ(plan.sequences[1].computed, 32);
}

TEST(Scheduler, AnotherChoiceLeadsWhenTheLeaderEnds) {
  Engine engine(small_config());
  Request request = make_request(1, 200, 2);
  request.choices = 2;
  engine.add(std::move(request));
  engine.step();
  engine.scheduler.finish(1, 0, FinishReason::kAbort);
  engine.drain();
  EXPECT_EQ(engine.scheduler.stats().generation_tokens, 2u);
  EXPECT_EQ(engine.scheduler.stats().waiting_siblings, 0);
}

// --- prefix cache --------------------------------------------------------------------------------

// Tokens of `request` that need not be computed.
int32_t cached_of(Engine& engine, Request request) {
  engine.add(std::move(request));
  const StepPlan& plan = engine.plan();
  const int32_t cached = plan.sequences.back().computed;
  engine.commit(Engine::answer(plan));
  engine.drain();
  return cached;
}

Request same_prompt(RequestId id, int32_t prompt_tokens) {
  Request request = make_request(1, prompt_tokens, 2);
  request.id = id;
  return request;
}

TEST(PrefixCache, FindsFullBlocksButComputesTheLastToken) {
  Engine engine(small_config());
  EXPECT_EQ(cached_of(engine, same_prompt(1, 40)), 0);
  EXPECT_EQ(cached_of(engine, same_prompt(2, 40)), 32);
  EXPECT_EQ(cached_of(engine, same_prompt(3, 32)), 16);
  EXPECT_EQ(cached_of(engine, same_prompt(4, 33)), 32);
  EXPECT_EQ(engine.scheduler.stats().prompt_tokens_cached, 32u + 16 + 32);
  engine.scheduler.forget_prefixes();
  EXPECT_EQ(cached_of(engine, same_prompt(5, 40)), 0);
}

TEST(PrefixCache, FindsWhatWasGenerated) {
  Engine engine(small_config());
  Request first = make_request(1, 20, 30);
  Request second = first;
  second.id = 2;
  second.prompt.insert(second.prompt.end(), 30, kSampled);
  cached_of(engine, std::move(first));
  EXPECT_EQ(cached_of(engine, std::move(second)), 48) << "the 50th token was never computed";
}

TEST(PrefixCache, IsNotSharedAcrossSaltsAndAdapters) {
  EngineConfig config = small_config();
  config.adapter_pages = 1;
  Engine engine(config);
  engine.scheduler.add_adapter(1, 1);
  cached_of(engine, same_prompt(1, 40));
  Request salted = same_prompt(2, 40);
  salted.cache_salt = 9;
  EXPECT_EQ(cached_of(engine, salted), 0);
  Request adapted = same_prompt(3, 40);
  adapted.adapter = 1;
  engine.add(adapted);
  engine.plan();
  engine.scheduler.commit({}, engine.now);
  engine.scheduler.adapter_loaded(1);
  EXPECT_EQ(engine.step()[0].usage.cached_tokens, 0);
  salted.id = 4;
  EXPECT_EQ(cached_of(engine, salted), 32);
}

TEST(PrefixCache, SkipsNothingOfAPromptThatIsScored) {
  Engine engine(small_config());
  cached_of(engine, same_prompt(1, 40));
  Request scored = same_prompt(2, 40);
  scored.sampling.prompt_logprobs = 0;
  engine.add(std::move(scored));
  const Output output = engine.step()[0];
  EXPECT_EQ(output.prompt_begin, 1);
  EXPECT_EQ(output.prompt.size(), 39u);
  EXPECT_EQ(output.usage.cached_tokens, 0);
}

TEST(PrefixCache, WhoArriveTogetherComputeTheirCommonPartOnce) {
  Engine engine(small_config());
  for (RequestId id = 1; id <= 3; ++id) engine.add(same_prompt(id, 40));
  engine.add(make_request(4, 10, 2));
  EXPECT_THAT(counts(engine.plan()), ElementsAre(Pair(1, 40), Pair(4, 10)))
      << "others do not wait for those who wait";
  engine.commit();
  EXPECT_THAT(counts(engine.plan()), ElementsAre(Pair(1, 1), Pair(2, 8), Pair(3, 8), Pair(4, 1)));
  for (const Output& output : engine.commit()) {
    EXPECT_EQ(output.usage.cached_tokens, output.request == 2 || output.request == 3 ? 32 : 0);
  }
  engine.drain();
  EXPECT_EQ(engine.scheduler.stats().prompt_tokens_cached, 64u);
  EXPECT_EQ(engine.scheduler.stats().prompt_tokens_computed, 40u + 8 + 8 + 10);
}

TEST(PrefixCache, AShortPromptTakesTheBeginningOfALongOneInProgress) {
  Engine engine(small_config());
  engine.add(same_prompt(1, 400));
  Request tail = make_request(2, 40, 2);
  const Request head = make_request(1, 33, 0);
  std::copy(head.prompt.begin(), head.prompt.end(), tail.prompt.begin());
  engine.add(std::move(tail));
  EXPECT_THAT(counts(engine.plan()), ElementsAre(Pair(1, 128)));
  engine.commit();
  EXPECT_THAT(counts(engine.plan()), ElementsAre(Pair(1, 120), Pair(2, 8)));
  engine.commit();
  engine.drain();
}

TEST(PrefixCache, WhoWaitsForABlockGoesOnWhenItDoesNotCome) {
  Engine engine(small_config());
  engine.add(same_prompt(1, 40));
  engine.add(same_prompt(2, 40));
  engine.plan();
  engine.scheduler.cancel(1);
  StepResult result = Engine::answer(*engine.planned);
  result.sequences[0].error = "broken";
  engine.commit(std::move(result));
  EXPECT_THAT(counts(engine.plan()), ElementsAre(Pair(2, 40)));
  engine.commit();
  engine.drain();
}

TEST(PrefixCache, WhoWantsItsRowsDoesNotWait) {
  Engine engine(small_config());
  engine.add(same_prompt(1, 40));
  Request scored = same_prompt(2, 40);
  scored.sampling.prompt_logprobs = 0;
  engine.add(std::move(scored));
  EXPECT_THAT(counts(engine.plan()), ElementsAre(Pair(1, 40), Pair(2, 40)));
  engine.commit();
  engine.drain();
}

TEST(PrefixCache, CanBeSwitchedOff) {
  EngineConfig config = small_config();
  config.prefix_caching = false;
  Engine engine(config);
  cached_of(engine, same_prompt(1, 40));
  EXPECT_EQ(cached_of(engine, same_prompt(2, 40)), 0);
}

// --- memory --------------------------------------------------------------------------------------

TEST(Preemption, TakesFromTheLastAndGivesTheSameNumberOfTokens) {
  EngineConfig config = small_config();
  config.num_blocks = 4;
  Engine engine(config);
  engine.add(make_request(1, 16, 40));
  engine.add(make_request(2, 16, 40));
  std::vector<int32_t> tokens(3);
  bool resumed = false;
  while (engine.scheduler.busy()) {
    const StepPlan& plan = engine.plan();
    for (const StepSequence& step : plan.sequences) {
      EXPECT_EQ(step.prompt_tokens, 16) << "what was generated stays output";
      resumed |= step.fresh && step.tokens.size() > 16;
    }
    for (const Output& output : engine.commit(Engine::answer(plan))) {
      tokens[output.request] += static_cast<int32_t>(output.tokens.size());
      EXPECT_EQ(output.usage.output_tokens, tokens[output.request]);
      if (output.request == 1) {
        EXPECT_EQ(output.timing.preemptions, 0) << "the first in rank";
      }
    }
  }
  EXPECT_TRUE(resumed);
  EXPECT_THAT(tokens, ElementsAre(0, 40, 40));
  EXPECT_GT(engine.scheduler.stats().preemptions, 0u);
}

TEST(Preemption, TellsPromptLogprobsOnce) {
  EngineConfig config = small_config();
  config.num_blocks = 12;
  config.max_num_batched_tokens = 32;
  Engine engine(config);
  engine.add(make_request(1, 16, 60));
  engine.step();
  Request scored = make_request(2, 100, 60);
  scored.sampling.prompt_logprobs = 0;
  scored.max_tokens = 70;
  engine.add(std::move(scored));
  int32_t told = 0;
  while (engine.scheduler.busy()) {
    for (const Output& output : engine.step()) {
      if (!output.prompt.empty()) {
        EXPECT_EQ(output.prompt_begin, told + 1);
      }
      told += static_cast<int32_t>(output.prompt.size());
    }
  }
  EXPECT_EQ(told, 99);
}

TEST(Admission, LeavesTheWatermarkToThoseWhoRun) {
  EngineConfig config = small_config();
  config.num_blocks = 10;
  config.watermark_permille = 300;
  Engine engine(config);
  engine.add(make_request(1, 64, 20));
  engine.add(make_request(2, 64, 20));
  EXPECT_THAT(counts(engine.plan()), ElementsAre(Pair(1, 64))) << "4 + 4 + 3 > 10";
}

TEST(Admission, RefusesWhenTooMuchWaits) {
  EngineConfig config = small_config();
  config.max_queued_requests = 2;
  config.max_queued_tokens = 100;
  Engine engine(config);
  EXPECT_TRUE(engine.add(make_request(1, 300, 1)).accepted()) << "an empty queue takes anything";
  const Admission tokens = engine.add(make_request(2, 10, 1));
  EXPECT_EQ(tokens.code, AdmissionCode::kQueueFull);
  EXPECT_THAT(tokens.reason, HasSubstr("max_queued_tokens = 100"));
  engine.step();
  EXPECT_TRUE(engine.add(make_request(3, 10, 1)).accepted());
  EXPECT_TRUE(engine.add(make_request(4, 10, 1)).accepted());
  const Admission requests = engine.add(make_request(5, 10, 1));
  EXPECT_EQ(requests.code, AdmissionCode::kQueueFull);
  EXPECT_THAT(requests.reason, HasSubstr("max_queued_requests = 2"));
  EXPECT_EQ(engine.scheduler.stats().admissions[1], 2u);
  engine.scheduler.cancel(4);
  EXPECT_TRUE(engine.add(make_request(6, 10, 1)).accepted());
  engine.drain();
}

TEST(Admission, RefusesWhatNeverFits) {
  Engine engine(small_config());
  EXPECT_EQ(engine.add(make_request(1, 601, 1)).code, AdmissionCode::kTooLong);
  EXPECT_EQ(engine.add(make_request(1, 0, 1)).code, AdmissionCode::kInvalid);
  EXPECT_FALSE(engine.scheduler.busy());
}

// --- cancelling ----------------------------------------------------------------------------------

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

// --- priorities ----------------------------------------------------------------------------------

TEST(Priority, UrgentOnesAreAdmittedFirst) {
  EngineConfig config = small_config();
  config.max_num_seqs = 1;
  Engine engine(config);
  engine.add(make_request(1, 4, 1));
  Request urgent = make_request(2, 4, 1);
  urgent.priority = -1;
  engine.add(std::move(urgent));
  EXPECT_EQ(engine.step()[0].request, 2u);
  EXPECT_EQ(engine.step()[0].request, 1u);
}

TEST(Priority, UrgentOnesTakeTheSlotOfTheLeastUrgent) {
  EngineConfig config = small_config();
  config.max_num_seqs = 2;
  Engine engine(config);
  engine.add(make_request(1, 4, 50));
  engine.add(make_request(2, 4, 50));
  engine.step();
  Request urgent = make_request(3, 4, 2);
  urgent.priority = -1;
  engine.add(std::move(urgent));
  EXPECT_THAT(counts(engine.plan()), UnorderedElementsAre(Pair(3, 4), Pair(1, 1)));
  engine.commit();
  engine.step();
  const StepPlan& plan = engine.plan();
  EXPECT_THAT(counts(plan), UnorderedElementsAre(Pair(1, 1), Pair(2, 5)));
  EXPECT_TRUE(plan.sequences[1].fresh);
}

TEST(Priority, NobodyIsPreemptedInVain) {
  EngineConfig config = small_config();
  config.num_blocks = 10;
  Engine engine(config);
  Request first = make_request(1, 100, 50);
  first.priority = -1;
  engine.add(std::move(first));
  engine.add(make_request(2, 16, 5));
  engine.step();
  Request urgent = make_request(3, 100, 2);
  urgent.priority = -1;
  engine.add(std::move(urgent));
  engine.step();
  EXPECT_EQ(engine.scheduler.stats().preemptions, 0u) << "the block of request 2 is not enough";
}

TEST(Priority, AWaitMakesUpForIt) {
  EngineConfig config = small_config();
  config.max_num_seqs = 1;
  config.priority_aging = kSecond;
  Engine engine(config);
  engine.add(make_request(1, 4, 1));
  engine.now += 2 * kSecond;
  Request urgent = make_request(2, 4, 1);
  urgent.priority = -1;
  engine.add(std::move(urgent));
  EXPECT_EQ(engine.step()[0].request, 1u);
}

// --- what is wrong is said -----------------------------------------------------------------------

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
