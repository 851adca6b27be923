// What a step holds: generation, shares of prompts, lanes, order; and choices of one prompt.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/scheduler_test_support.h"

namespace hearth::engine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

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

TEST(Scheduler, ShortPromptsAreDueThatHaveASlotAndStandNoLowerThanWhoGenerates) {
  auto budget = std::make_unique<NoTokens>();
  const NoTokens& policy = *budget;
  Engine engine(small_config(), std::move(budget));
  const auto add = [&](RequestId id, ServiceClass service_class) {
    Request request = make_request(id, 1, 20);
    request.service_class = service_class;
    engine.add(std::move(request));
  };
  add(1, ServiceClass::kStandard);
  engine.step();
  for (RequestId id = 2; id <= 21; ++id) add(id, ServiceClass::kStandard);
  engine.step();
  EXPECT_EQ(policy.last.prompts, 20);
  EXPECT_EQ(policy.last.prompts_due, 7) << "eight slots, of which one is taken";
  engine.scheduler.cancel(1);
  for (RequestId id = 2; id <= 21; ++id) engine.scheduler.cancel(id);
  add(30, ServiceClass::kProvisioned);
  engine.step();
  for (RequestId id = 31; id <= 33; ++id) add(id, ServiceClass::kStandard);
  add(34, ServiceClass::kProvisioned);
  engine.step();
  EXPECT_EQ(policy.last.prompts_due, 1) << "who bought waits for no others' prompts";
}

TEST(Scheduler, PromptsAreLeftOutOfNoTwoStepsInARow) {
  Engine engine(small_config(), std::make_unique<NoTokens>());
  engine.add(make_request(1, 1, 10));
  engine.step();
  engine.add(make_request(2, 3, 1));
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(counts(engine.plan()), ElementsAre(Pair(1, 1)));
    engine.commit();
    EXPECT_THAT(counts(engine.plan()), ElementsAre(Pair(1, 1), Pair(2, 1)));
    engine.commit();
  }
  engine.drain();
}

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

}  // namespace
}  // namespace hearth::engine
