#include "engine/fair_queue.h"

#include <gtest/gtest.h>

namespace hearth::engine {
namespace {

struct Waiter {
  Waiter(FairQueue& into, ServiceClass service_class, DeploymentId deployment, uint64_t order)
      : queue(into) {
    owner.flow = &queue.enter(service_class, deployment);
    sequence.owner = &owner;
    sequence.rank.order = order;
    sequence.tokens.assign(10, 1);
    queue.push(sequence);
  }
  // Its turn: it is served and leaves.
  void serve(Cost cost) {
    queue.remove(sequence);
    FairQueue::charge(*owner.flow, cost);
  }
  FairQueue& queue;
  RequestState owner;
  Sequence sequence;
};

TEST(FairQueue, ServesByArrivalWhereNobodyBoughtAnything) {
  FairQueue queue(100);
  Waiter second(queue, ServiceClass::kStandard, kNoDeployment, 2),
      first(queue, ServiceClass::kStandard, kNoDeployment, 1);
  EXPECT_EQ(queue.front(ServiceClass::kStandard), &first.sequence);
  first.serve(1'000'000);
  EXPECT_EQ(queue.front(ServiceClass::kStandard), &second.sequence);
  EXPECT_EQ(queue.front(ServiceClass::kBatch), nullptr);
  EXPECT_EQ(queue.size(), 1);
}

TEST(FairQueue, WhoIsFurthestBehindIsNext) {
  FairQueue queue(100);
  queue.set_rate(1, 3000);
  queue.set_rate(2, 1000);
  std::vector<std::unique_ptr<Waiter>> waiters;
  for (uint64_t i = 0; i < 80; ++i) {
    waiters.push_back(std::make_unique<Waiter>(queue, ServiceClass::kProvisioned,
                                               static_cast<DeploymentId>(1 + i % 2), i));
  }
  int served[3] = {};
  for (int i = 0; i < 40; ++i) {
    Sequence* next = queue.front(ServiceClass::kProvisioned);
    ++served[next->owner->flow->deployment];
    for (auto& waiter : waiters) {
      if (&waiter->sequence == next) waiter->serve(500);
    }
  }
  EXPECT_EQ(served[1], 30) << "three times the rate, three times the work";
  EXPECT_EQ(served[2], 10);
}

TEST(FairQueue, APauseEarnsNoCredit) {
  FairQueue queue(100);
  queue.set_rate(1, 1000);
  queue.set_rate(2, 1000);
  std::vector<std::unique_ptr<Waiter>> busy;
  for (uint64_t i = 0; i < 10; ++i) {
    busy.push_back(std::make_unique<Waiter>(queue, ServiceClass::kProvisioned, 1, i));
  }
  for (int i = 0; i < 5; ++i) busy[static_cast<size_t>(i)]->serve(1000);
  Waiter late(queue, ServiceClass::kProvisioned, 2, 100),
      later(queue, ServiceClass::kProvisioned, 2, 101);
  EXPECT_EQ(queue.front(ServiceClass::kProvisioned), &busy[5]->sequence)
      << "level: the first in rank";
  busy[5]->serve(1000);
  EXPECT_EQ(queue.front(ServiceClass::kProvisioned), &late.sequence);
  late.serve(1000);
  EXPECT_EQ(queue.front(ServiceClass::kProvisioned), &busy[6]->sequence);
}

TEST(FairQueue, AnEmptyQueueRemembersHowFarItWas) {
  FairQueue queue(100);
  queue.set_rate(1, 1000);
  queue.set_rate(2, 1000);
  {
    Waiter only(queue, ServiceClass::kProvisioned, 1, 1);
    FairQueue::charge(*only.owner.flow, 70'000);
    only.serve(0);
    queue.leave(*only.owner.flow);
  }
  Waiter newcomer(queue, ServiceClass::kProvisioned, 2, 2);
  EXPECT_EQ(newcomer.owner.flow->served, 70 * 60 * kSecond);
}

TEST(FairQueue, ARateChangesBetweenTwoTurns) {
  FairQueue queue(100);
  queue.set_rate(1, 1000);
  Waiter one(queue, ServiceClass::kProvisioned, 1, 1);
  FairQueue::charge(*one.owner.flow, 1000);
  queue.set_rate(1, 2000);
  FairQueue::charge(*one.owner.flow, 1000);
  EXPECT_EQ(one.owner.flow->served, 90 * kSecond);
}

TEST(FairQueue, WhoBuysMoreIsNotHeldToTheOldRate) {
  FairQueue queue(100);
  queue.set_rate(1, 10);
  queue.set_rate(2, 1000);
  Waiter small(queue, ServiceClass::kProvisioned, 1, 1),
      other(queue, ServiceClass::kProvisioned, 2, 2);
  FairQueue::charge(*small.owner.flow, 1000);  // 100 minutes ahead
  queue.set_rate(1, 1000);
  EXPECT_EQ(small.owner.flow->served, 60 * kSecond) << "the same work ahead";
}

TEST(FairQueue, ClassesOfADeploymentAreLinesOfTheirOwn) {
  FairQueue queue(100);
  queue.set_rate(1, 1000);
  Waiter bought(queue, ServiceClass::kProvisioned, 1, 1),
      spilled(queue, ServiceClass::kStandard, 1, 2);
  EXPECT_EQ(bought.owner.flow->rate, 1000);
  EXPECT_EQ(spilled.owner.flow->rate, FairQueue::kCommonRate);
  EXPECT_EQ(queue.tokens_above(ServiceClass::kStandard), 10);
  EXPECT_EQ(queue.tokens_above(ServiceClass::kBatch), 20);
  EXPECT_EQ(queue.rate_present(ServiceClass::kProvisioned), 1000);
}

TEST(FairQueue, ALineGoesWithItsLastRequest) {
  FairQueue queue(100);
  queue.set_rate(1, 1000);
  Waiter one(queue, ServiceClass::kProvisioned, 1, 1);
  one.serve(10);
  queue.forget(1);
  EXPECT_EQ(queue.flows().size(), 1u);
  queue.leave(*one.owner.flow);
  EXPECT_TRUE(queue.flows().empty());
}

}  // namespace
}  // namespace hearth::engine
