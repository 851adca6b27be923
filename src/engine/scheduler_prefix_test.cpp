// What is not computed twice: the prefix cache, and prompts that arrive together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/scheduler_test_support.h"

namespace hearth::engine {
namespace {

using testing::ElementsAre;
using testing::Pair;

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

}  // namespace
}  // namespace hearth::engine
