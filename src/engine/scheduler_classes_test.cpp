// Classes of service and deployments: who goes first, who gives way, and what that costs nobody.
#include <gtest/gtest.h>
#include <map>
#include <numeric>
#include <utility>

#include "engine/scheduler.h"

namespace hearth::engine {
namespace {

// 100 us a prompt token, 1 ms a sequence; steps of 20 ms.
EngineConfig measured_config() {
  EngineConfig config;
  config.num_blocks = 400;
  config.max_model_len = 600;
  config.max_num_seqs = 32;
  config.max_num_batched_tokens = 256;
  config.watermark_permille = 0;
  config.step_time_target = 20 * kMillisecond;
  config.costs = {.step_ps = 0, .prompt_token_ps = 100'000'000, .sequence_ps = 1'000'000'000};
  config.prices = prices_of(config.costs, config.step_time_target, config.max_num_seqs);
  return config;
}

struct SharedEngine {
  explicit SharedEngine(const EngineConfig& config) : costs(config.costs), scheduler(config) {}

  RequestId add(ServiceClass service_class, DeploymentId deployment, int32_t prompt,
                int32_t output) {
    Request request;
    request.id = ++last_id;
    request.prompt.resize(static_cast<size_t>(prompt));
    std::iota(request.prompt.begin(), request.prompt.end(), static_cast<TokenId>(last_id) * 1000);
    request.max_tokens = output;
    request.service_class = service_class;
    request.deployment = deployment;
    admitted = scheduler.add(std::move(request), now);
    return last_id;
  }

  // Tokens computed of each request.
  std::map<RequestId, int32_t> step() {
    const StepPlan& plan = scheduler.plan(now);
    std::map<RequestId, int32_t> computed;
    StepResult result;
    for (const StepSequence& step : plan.sequences) {
      computed[step.request] += step.count;
      SequenceResult& one = result.sequences.emplace_back();
      if (step.want == Want::kToken) one.sampled.push_back({.token = 1});
    }
    work = plan.work;
    now += std::max<Nanos>(costs.time(work), 1);
    if (!plan.empty()) scheduler.commit(result, now);
    return computed;
  }

  CostModel costs;  // of the machine, whoever knows them
  Scheduler scheduler;
  Admission admitted;
  StepWork work;
  RequestId last_id = 0;
  Nanos now = 0;
};

TEST(SchedulerClasses, AHigherClassGoesFirst) {
  SharedEngine engine(measured_config());
  const RequestId batch = engine.add(ServiceClass::kBatch, 0, 150, 1);
  const RequestId standard = engine.add(ServiceClass::kStandard, 0, 150, 1);
  const RequestId bought = engine.add(ServiceClass::kProvisioned, 1, 150, 1);
  auto computed = engine.step();
  EXPECT_EQ(computed[bought], 150);
  EXPECT_EQ(computed[standard], 50);
  EXPECT_EQ(computed[batch], 0);
}

TEST(SchedulerClasses, IdleCapacityGoesToWhoIsThere) {
  SharedEngine engine(measured_config());
  const RequestId batch = engine.add(ServiceClass::kBatch, 0, 150, 1);
  EXPECT_EQ(engine.step()[batch], 150);
}

TEST(SchedulerClasses, AStepStaysBelowTheTargetWhateverArrives) {
  SharedEngine engine(measured_config());
  for (int i = 0; i < 300; ++i) {
    if (i < 100)
      engine.add(i % 2 ? ServiceClass::kStandard : ServiceClass::kBatch, 0, 10 + i * 37 % 500, 40);
    engine.step();
    EXPECT_LE(engine.scheduler.config().costs.time(engine.work), 20 * kMillisecond) << i;
  }
}

// Sixteen sequences of standard work fill the step as far as sequences may.
struct FullHouse : SharedEngine {
  explicit FullHouse(ServiceClass service_class) : SharedEngine(measured_config()) {
    for (int i = 0; i < 20; ++i) others.push_back(add(service_class, 0, 4, 400));
    for (int i = 0; i < 10; ++i) step();
    EXPECT_EQ(work.generating, 16) << "four fifths of the time";
  }
  std::vector<RequestId> others;
};

TEST(SchedulerClasses, WhatWasBoughtIsThereWithinOneStep) {
  FullHouse engine(ServiceClass::kStandard);
  // 180 prompt tokens in 20 ms: nine tenths of the machine.
  engine.scheduler.set_deployment(1, 180 * 50 * 60 * kCostPerUnit);
  const RequestId bought = engine.add(ServiceClass::kProvisioned, 1, 500, 4);
  EXPECT_GE(engine.step()[bought], 180);
}

TEST(SchedulerClasses, NoMoreIsTakenBackThanWasBought) {
  FullHouse engine(ServiceClass::kStandard);
  // 60 prompt tokens in 20 ms.
  engine.scheduler.set_deployment(1, 60 * 50 * 60 * kCostPerUnit);
  const RequestId bought = engine.add(ServiceClass::kProvisioned, 1, 500, 4);
  EXPECT_GE(engine.step()[bought], 60);
  EXPECT_GE(engine.work.generating, 13) << "the others go on with the rest";
}

TEST(SchedulerClasses, BatchWorkGivesWayToAnybody) {
  FullHouse engine(ServiceClass::kBatch);
  const RequestId online = engine.add(ServiceClass::kStandard, 0, 190, 4);
  EXPECT_EQ(engine.step()[online], 190);
  EXPECT_EQ(engine.work.generating, 0);
}

TEST(SchedulerClasses, BatchWorkSitsOutEveryStepOfOthersAndGoesOn) {
  FullHouse engine(ServiceClass::kBatch);
  const RequestId online = engine.add(ServiceClass::kStandard, 0, 30, 8);
  for (int i = 0; i < 8; ++i) {
    const std::map<RequestId, int32_t> computed = engine.step();
    EXPECT_EQ(computed.size(), 1u) << i;
    EXPECT_TRUE(computed.contains(online)) << i;
  }
  engine.step();
  EXPECT_EQ(engine.work.generating, 16) << "where it was";
  EXPECT_EQ(engine.scheduler.stats().preemptions, 0u);
}

TEST(SchedulerClasses, AnAbandonedStepOfBatchWorkLeavesNothingBehind) {
  SharedEngine engine(measured_config());
  const RequestId batch = engine.add(ServiceClass::kBatch, 0, 40, 4);
  ASSERT_TRUE(engine.scheduler.plan(engine.now).idle);
  const RequestId online = engine.add(ServiceClass::kStandard, 0, 30, 1);
  EXPECT_TRUE(engine.scheduler.commit({.sequences = {}, .abandoned = true}, engine.now).empty());
  EXPECT_EQ(engine.scheduler.stats().blocks_used, 0);
  EXPECT_EQ(engine.scheduler.stats().steps_abandoned, 1u);
  EXPECT_EQ(engine.step(), (std::map<RequestId, int32_t>{{online, 30}}));
  const StepPlan& again = engine.scheduler.plan(engine.now);
  ASSERT_EQ(again.sequences.size(), 1u);
  EXPECT_EQ(again.sequences[0].request, batch);
  EXPECT_EQ(again.sequences[0].computed, 0);
  EXPECT_TRUE(again.sequences[0].fresh) << "the runner may know nothing of it";
}

TEST(SchedulerClasses, OnlyBatchWorkIsAbandoned) {
  FullHouse engine(ServiceClass::kStandard);
  EXPECT_FALSE(engine.scheduler.plan(engine.now).idle);
}

// Nobody knows what a step takes: the target alone says when whoever comes is to be looked at.
TEST(SchedulerClasses, StepsOfBatchWorkEndInTimeForWhoComes) {
  EngineConfig config = measured_config();
  config.max_num_batched_tokens = 500;
  const CostModel costs = std::exchange(config.costs, {});
  SharedEngine engine(config);
  engine.costs = costs;
  for (int i = 0; i < 20; ++i) engine.add(ServiceClass::kBatch, 0, 500, 1);
  for (int i = 0; i < 12; ++i) {
    const Nanos begin = engine.now;
    engine.step();
    if (i < 5) continue;  // it is learned
    EXPECT_LE(engine.now - begin, 22 * kMillisecond) << i;
  }
  engine.add(ServiceClass::kStandard, 0, 450, 1);
  engine.step();
  EXPECT_EQ(engine.work.prompt_tokens, 450) << "what somebody waits for is computed at once";
}

// A batch of which no two prompts are alike goes through the cache.
TEST(SchedulerClasses, BatchWorkCostsNobodyACachedPrompt) {
  for (const ServiceClass neighbour : {ServiceClass::kStandard, ServiceClass::kBatch}) {
    EngineConfig config = measured_config();
    config.num_blocks = 100;
    SharedEngine engine(config);
    const auto ask = [&] {
      const uint64_t before = engine.scheduler.stats().prompt_tokens_cached;
      engine.last_id = 1000;
      engine.add(ServiceClass::kStandard, 0, 320, 1);
      while (engine.scheduler.busy()) engine.step();
      return engine.scheduler.stats().prompt_tokens_cached - before;
    };
    ask();
    for (int i = 0; i < 40; ++i) {
      engine.last_id = i;
      engine.add(neighbour, 0, 200, 20);
    }
    while (engine.scheduler.busy()) engine.step();
    EXPECT_EQ(ask(), neighbour == ServiceClass::kBatch ? 304u : 0u);
  }
}

TEST(SchedulerClasses, SlotsAreTakenBackToo) {
  EngineConfig config = measured_config();
  config.max_num_seqs = 4;
  config.costs = {};
  config.step_time_target = 0;
  SharedEngine engine(config);
  for (int i = 0; i < 8; ++i) engine.add(ServiceClass::kBatch, 0, 4, 100);
  engine.step();
  std::vector<RequestId> bought;
  for (int i = 0; i < 4; ++i) bought.push_back(engine.add(ServiceClass::kProvisioned, 1, 8, 5));
  auto computed = engine.step();
  for (const RequestId id : bought) EXPECT_EQ(computed[id], 8);
  while (engine.scheduler.busy()) engine.step();
  EXPECT_EQ(engine.scheduler.stats().finished[static_cast<size_t>(FinishReason::kLength)], 12u);
}

TEST(SchedulerClasses, AFullQueueOfALowerClassRefusesNobodyAbove) {
  EngineConfig config = measured_config();
  config.max_queued_requests = 3;
  SharedEngine engine(config);
  for (int i = 0; i < 3; ++i) engine.add(ServiceClass::kBatch, 0, 4, 4);
  engine.add(ServiceClass::kBatch, 0, 4, 4);
  EXPECT_EQ(engine.admitted.code, AdmissionCode::kQueueFull);
  engine.add(ServiceClass::kStandard, 0, 4, 4);
  EXPECT_TRUE(engine.admitted.accepted()) << engine.admitted.reason;
  engine.add(ServiceClass::kProvisioned, 1, 4, 4);
  EXPECT_TRUE(engine.admitted.accepted());
  engine.add(ServiceClass::kBatch, 0, 4, 4);
  EXPECT_EQ(engine.admitted.code, AdmissionCode::kQueueFull);
}

TEST(SchedulerClasses, TwoDeploymentsShareByWhatTheyBought) {
  EngineConfig config = measured_config();
  config.max_num_seqs = 4;
  SharedEngine engine(config);
  engine.scheduler.set_deployment(1, 3'000'000'000);
  engine.scheduler.set_deployment(2, 1'000'000'000);
  std::map<RequestId, DeploymentId> owner;
  std::map<DeploymentId, int64_t> computed;
  for (int i = 0; i < 600; ++i) {
    for (const Flow* flow : engine.scheduler.waiting().flows()) {
      for (int32_t j = flow->queue.size(); j < 8; ++j) {
        owner[engine.add(ServiceClass::kProvisioned, flow->deployment, 60, 10)] = flow->deployment;
      }
    }
    if (i == 0) {
      for (const DeploymentId each : {1, 2})
        owner[engine.add(ServiceClass::kProvisioned, each, 60, 10)] = each;
    }
    for (const auto& [id, count] : engine.step()) computed[owner[id]] += count;
  }
  EXPECT_NEAR(static_cast<double>(computed[1]) / static_cast<double>(computed[2]), 3.0, 0.1);
}

}  // namespace
}  // namespace hearth::engine
