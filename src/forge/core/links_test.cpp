#include "forge/core/links.h"

#include <gtest/gtest.h>
#include <set>

#include "base/random.h"
#include "forge/core/policy.h"
#include "forge/core/scheduler.h"

namespace hearth::forge {
namespace {

constexpr NodeId kA = 0, kB = 1, kC = 2, kD = 3;

bool all(NodeId) { return true; }

struct Book : LinkBook {
  void bad(NodeId from, NodeId to, Millis now = 0) { record(now, from, {to, false, "slow"}); }
  void good(NodeId from, NodeId to, Millis now = 0) { record(now, from, {to, true, "quick"}); }
};

TEST(LinkBook, OneBadLinkPutsBothEndsInDoubt) {
  Book book;
  book.bad(kA, kB);
  EXPECT_EQ(book.judge(0, kA, all), LinkVerdict::kDoubtful);
  EXPECT_EQ(book.judge(0, kB, all), LinkVerdict::kDoubtful);
  EXPECT_EQ(book.judge(0, kC, all), LinkVerdict::kGood);
  EXPECT_EQ(book.text(0, kB), "1 of 1 bad, the last of them: slow");
}

TEST(LinkBook, WhoIsBadWithSeveralIsToBlameAndTheyAreNot) {
  Book book;
  book.bad(kC, kA);
  book.bad(kB, kC);
  book.good(kA, kB);
  EXPECT_EQ(book.judge(0, kC, all), LinkVerdict::kBad);
  EXPECT_EQ(book.judge(0, kA, all), LinkVerdict::kGood);
  EXPECT_EQ(book.judge(0, kB, all), LinkVerdict::kGood);
}

TEST(LinkBook, WhereNothingWorksNobodyIsToBlame) {
  Book book;
  for (NodeId from = 0; from < 6; ++from) {
    for (NodeId to = 0; to < from; ++to) book.bad(from, to);
  }
  for (NodeId node = 0; node < 6; ++node)
    EXPECT_EQ(book.judge(0, node, all), LinkVerdict::kDoubtful);
}

TEST(LinkBook, APairWithGoodLinksToOthersIsNobodysFault) {
  Book book;
  book.bad(kA, kB);
  for (NodeId end : {kA, kB}) book.good(end, kC), book.good(end, kD);
  for (NodeId node : {kA, kB, kC, kD}) EXPECT_EQ(book.judge(0, node, all), LinkVerdict::kGood);
}

TEST(LinkBook, TheNewestCountsForAWhile) {
  Book book;
  book.bad(kA, kB);
  book.good(kB, kA, 1'000);
  EXPECT_EQ(book.judge(1'000, kA, all), LinkVerdict::kGood);
  book.bad(kA, kB, 2'000);
  EXPECT_EQ(book.judge(2'000, kB, all), LinkVerdict::kDoubtful);
  EXPECT_EQ(book.judge(2'000 + LinkTerms{}.memory, kB, all), LinkVerdict::kGood);
}

TEST(LinkBook, WhoIsAwayOrOutCountsForNothing) {
  Book book;
  book.bad(kA, kC);
  book.bad(kB, kC);
  book.good(kA, kB);
  const auto without_c = [](NodeId node) { return node != kC; };
  EXPECT_EQ(book.judge(0, kA, without_c), LinkVerdict::kGood);
  book.forget(kC);
  EXPECT_EQ(book.judge(0, kC, all), LinkVerdict::kGood);
  EXPECT_EQ(book.judge(0, kA, all), LinkVerdict::kGood);
}

// Whatever the order in which nodes meet: the node whose cable is bad is found, and no other.
TEST(LinkBook, TheBadOneOfManyIsFound) {
  constexpr NodeId kNodes = 20;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Random random(seed);
    const auto culprit = static_cast<NodeId>(random.below(kNodes));
    Book book;
    std::set<NodeId> blamed;
    for (int round = 0; round < 8; ++round) {
      const Millis now = round * 60'000;
      for (NodeId from = 0; from < kNodes; ++from) {
        const auto to = static_cast<NodeId>((from + 1 + random.below(kNodes - 1)) % kNodes);
        book.record(now, from, {to, from != culprit && to != culprit, "no answer"});
        if (book.judge(now, from, all) == LinkVerdict::kBad) blamed.insert(from);
      }
    }
    EXPECT_EQ(blamed, std::set<NodeId>{culprit}) << "seed " << seed;
  }
}

// --- the same in the scheduler: four nodes, rounds of checks in virtual time ---

class LinksInScheduler : public testing::Test {
 protected:
  LinksInScheduler() : scheduler_(fleet(), policy_named("hearth"), {}) {
    for (NodeId node = 0; node < 4; ++node) feed(Joined{node, 1});
  }
  static FleetSpec fleet() {
    FleetSpec fleet;
    fleet.kinds = {{"gpu", 80, 400}};
    fleet.regions = {{"north", 40}};
    fleet.clusters = {{"main", 0}};
    for (const char* name : {"a", "b", "c", "d"}) fleet.nodes.push_back({name, 0, 0, 4});
    fleet.virtual_clusters = {{"default", -1, 0}};
    return fleet;
  }
  void feed(const Event& event) { scheduler_.apply(now_, event, out_); }
  // A minute in which every node tries two others; `bad`: the node whose links fail.
  void round(NodeId bad) {
    for (NodeId node = 0; node < 4; ++node) {
      Checked event{node, 1, {{"disk", true, ""}}, {}};
      for (NodeId peer : {(node + 1) % 4, (node + 2) % 4})
        event.links.push_back({peer, node != bad && peer != bad, "0.1 MB/s"});
      now_ += 15'000;
      for (NodeId each = 0; each < 4; ++each) feed(Heartbeat{each, 1, now_});
      feed(event);
    }
  }
  Health health(NodeId node) const { return scheduler_.node_image(node).health.state; }

  Scheduler scheduler_;
  std::vector<Command> out_;
  Millis now_ = 0;
};

TEST_F(LinksInScheduler, ThePairIsSuspectAtOnce) {
  feed(Checked{0, 1, {{"disk", true, ""}}, {{1, false, "0.1 MB/s"}}});
  EXPECT_EQ(health(0), Health::kSuspect);
  EXPECT_EQ(health(1), Health::kSuspect);
  EXPECT_EQ(health(2), Health::kHealthy);
  EXPECT_NE(scheduler_.node_image(1).health.why.find("links: 1 of 1 bad"), std::string::npos);
}

TEST_F(LinksInScheduler, TheBadEndIsTakenOutAndComesBackWhenItIsMended) {
  for (int i = 0; i < 4; ++i) round(2);
  EXPECT_TRUE(scheduler_.node_image(2).health.out());
  for (NodeId node : {0, 1, 3}) EXPECT_EQ(health(node), Health::kHealthy) << node;
  feed(Undrain{2});
  for (int i = 0; i < 5; ++i) round(-1);
  for (NodeId node = 0; node < 4; ++node) EXPECT_EQ(health(node), Health::kHealthy) << node;
}

TEST_F(LinksInScheduler, WhatIsSaidOfNodesThatDoNotExistIsNothing) {
  feed(Checked{0, 1, {}, {{-1, false, ""}, {99, false, ""}, {0, false, ""}}});
  EXPECT_EQ(health(0), Health::kHealthy);
}

}  // namespace
}  // namespace hearth::forge
