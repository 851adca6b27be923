#include "sim/engine_checker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hearth::sim {
namespace {

using engine::BlockId;
using engine::StepPlan;
using testing::HasSubstr;

// A lawful plan of two requests, to be spoiled.
struct Spoiled {
  Spoiled() : scheduler(config()), checker(scheduler) {
    for (engine::RequestId id = 1; id <= 2; ++id) {
      engine::Request request;
      request.id = id;
      request.prompt.assign(20, static_cast<engine::TokenId>(id));
      scheduler.add(std::move(request), 0);
    }
    plan = scheduler.plan(0);
  }

  static engine::EngineConfig config() {
    engine::EngineConfig config;
    config.num_blocks = 16;
    config.max_num_seqs = 4;
    config.max_num_batched_tokens = 64;
    return config;
  }

  engine::Scheduler scheduler;
  EngineChecker checker;
  StepPlan plan;
};

TEST(EngineChecker, HasNothingAgainstALawfulPlan) {
  Spoiled spoiled;
  EXPECT_EQ(spoiled.checker.check_plan(spoiled.plan), "");
}

TEST(EngineChecker, CountsTokens) {
  Spoiled spoiled;
  spoiled.plan.tokens = 39;
  EXPECT_THAT(spoiled.checker.check_plan(spoiled.plan), HasSubstr("40 tokens planned, 39 said"));
}

TEST(EngineChecker, WantsSlotsOnce) {
  Spoiled spoiled;
  spoiled.plan.sequences[1].slot = spoiled.plan.sequences[0].slot;
  EXPECT_THAT(spoiled.checker.check_plan(spoiled.plan), HasSubstr("used twice"));
}

TEST(EngineChecker, WantsTablesThatReachTheEnd) {
  Spoiled spoiled;
  spoiled.plan.sequences[0].blocks = spoiled.plan.sequences[0].blocks.first(1);
  EXPECT_THAT(spoiled.checker.check_plan(spoiled.plan), HasSubstr("1 blocks, not 2"));
}

TEST(EngineChecker, WantsWritersAlone) {
  Spoiled spoiled;
  const std::vector<BlockId> nobodys = {14, 15};
  spoiled.plan.sequences[0].blocks = nobodys;
  EXPECT_THAT(spoiled.checker.check_plan(spoiled.plan), HasSubstr("writes block 14"));
}

TEST(EngineChecker, WantsCopiesWithoutOrder) {
  Spoiled spoiled;
  const BlockId held = spoiled.plan.sequences[0].blocks[0];
  spoiled.plan.copies = {{3, held}, {4, held}};
  EXPECT_THAT(spoiled.checker.check_plan(spoiled.plan), HasSubstr("target of two copies"));
  spoiled.plan.copies = {{held, 9}, {4, held}};
  spoiled.plan.step = 2;
  EXPECT_THAT(spoiled.checker.check_plan(spoiled.plan), HasSubstr("copied from and to"));
}

}  // namespace
}  // namespace hearth::sim
