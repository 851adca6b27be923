// Requests that wait for their adapters: who is held up, and who is not.
#include <gtest/gtest.h>

#include "engine/scheduler.h"

namespace hearth::engine {
namespace {

struct AdapterHouse {
  explicit AdapterHouse(int32_t pages, int32_t max_overtaken = 2)
      : scheduler(config(pages, max_overtaken)) {
    for (AdapterId id = 1; id <= 9; ++id) scheduler.add_adapter(id, 1);
  }

  static EngineConfig config(int32_t pages, int32_t max_overtaken) {
    EngineConfig config;
    config.num_blocks = 64;
    config.max_model_len = 100;
    config.max_num_seqs = 8;
    config.adapter_pages = pages;
    config.max_overtaken = max_overtaken;
    return config;
  }

  Admission add(RequestId id, AdapterId adapter, int32_t max_tokens = 3) {
    Request request;
    request.id = id;
    request.prompt = {1, 2, 3};
    request.adapter = adapter;
    request.max_tokens = max_tokens;
    return scheduler.add(std::move(request), now);
  }

  // One step; loads that it orders are done when finish_loads() says so.
  std::vector<RequestId> step() {
    const StepPlan& plan = scheduler.plan(now++);
    std::vector<RequestId> ids;
    StepResult result;
    for (const StepSequence& sequence : plan.sequences) {
      ids.push_back(sequence.request);
      result.sequences.emplace_back();
      if (sequence.want == Want::kToken) result.sequences.back().sampled.emplace_back();
    }
    for (const AdapterOrder& order : plan.adapters) {
      if (order.kind == AdapterOrder::Kind::kLoad) loading.push_back(order.adapter);
    }
    if (!plan.empty()) scheduler.commit(result, now);
    return ids;
  }
  void finish_loads() {
    for (AdapterId adapter : loading) scheduler.adapter_loaded(adapter);
    loading.clear();
  }

  Scheduler scheduler;
  std::vector<AdapterId> loading;
  Nanos now = 0;
};

using Ids = std::vector<RequestId>;

TEST(SchedulerAdapters, OthersRunWhileOneIsLoaded) {
  AdapterHouse engine(2);
  engine.add(1, 5);
  engine.add(2, kBaseModel);
  EXPECT_EQ(engine.step(), Ids{2});
  EXPECT_EQ(engine.loading, std::vector<AdapterId>{5});
  EXPECT_EQ(engine.scheduler.stats().waiting_adapters, 1);
  EXPECT_EQ(engine.step(), Ids{2});
  engine.finish_loads();
  EXPECT_EQ(engine.step(), (Ids{1, 2}));
}

TEST(SchedulerAdapters, AnEmptyPlanWhileAllWait) {
  AdapterHouse engine(1);
  engine.add(1, 5);
  EXPECT_EQ(engine.step(), Ids{});
  EXPECT_TRUE(engine.scheduler.busy());
  EXPECT_TRUE(engine.scheduler.plan(1).empty());
  engine.finish_loads();
  EXPECT_EQ(engine.step(), Ids{1});
}

TEST(SchedulerAdapters, TheQueueIsPrefetchedInOrder) {
  AdapterHouse engine(3);
  for (RequestId id = 1; id <= 4; ++id) engine.add(id, static_cast<AdapterId>(id));
  engine.step();
  EXPECT_EQ(engine.loading, (std::vector<AdapterId>{1, 2, 3}));
}

TEST(SchedulerAdapters, UnknownOnesAreRefused) {
  AdapterHouse engine(1);
  const Admission admission = engine.add(1, 77);
  EXPECT_EQ(admission.code, AdmissionCode::kNoAdapter);
  EXPECT_EQ(admission.reason, "adapter 77 is not here, or has been unloaded");
}

TEST(SchedulerAdapters, AfterAnUnloadTheOldFinishAndTheNewAreRefused) {
  AdapterHouse engine(1);
  engine.add(1, 5, 2);
  engine.step();
  engine.finish_loads();
  engine.step();
  engine.scheduler.remove_adapter(5);
  EXPECT_FALSE(engine.add(2, 5).accepted());
  EXPECT_EQ(engine.step(), Ids{1});
  EXPECT_TRUE(engine.scheduler.busy()) << "the runner is to forget it";
  const StepPlan& plan = engine.scheduler.plan(9);
  ASSERT_EQ(plan.adapters.size(), 2u);
  EXPECT_EQ(plan.adapters[1].kind, AdapterOrder::Kind::kForget);
  engine.scheduler.commit({}, 9);
  EXPECT_FALSE(engine.scheduler.busy());
}

TEST(SchedulerAdapters, AFailedLoadEndsThoseWhoWait) {
  AdapterHouse engine(1);
  engine.add(1, 5);
  Request two;
  two.id = 2;
  two.prompt = {1};
  two.adapter = 5;
  two.choices = 2;
  engine.scheduler.add(two, 0);
  engine.add(3, kBaseModel);
  engine.step();
  const auto outputs = engine.scheduler.adapter_failed(5, "the file is gone");
  ASSERT_EQ(outputs.size(), 3u);
  EXPECT_EQ(outputs[0].finish, FinishReason::kError);
  EXPECT_EQ(outputs[0].error, "the file is gone");
  EXPECT_TRUE(outputs[0].request_done);
  EXPECT_FALSE(outputs[1].request_done);
  EXPECT_TRUE(outputs[2].request_done);
  EXPECT_EQ(engine.step(), Ids{3});
}

// One page, and a stream of requests for the adapter in it: another one still gets its turn.
TEST(SchedulerAdapters, ARareAdapterIsNotStarvedByAPopularOne) {
  AdapterHouse engine(1);
  RequestId id = 1;
  engine.add(id++, 1, 3);
  engine.step();
  engine.finish_loads();
  engine.step();
  const RequestId rare = id;
  engine.add(id++, 2, 3);
  for (int step = 0; step < 20; ++step) {
    engine.add(id++, 1, 3);
    const Ids ran = engine.step();
    engine.finish_loads();
    if (std::find(ran.begin(), ran.end(), rare) != ran.end()) {
      EXPECT_LT(step, 8);
      return;
    }
  }
  FAIL() << "request " << rare << " never ran";
}

}  // namespace
}  // namespace hearth::engine
