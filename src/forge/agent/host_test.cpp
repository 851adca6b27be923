#include "forge/agent/host.h"

#include <gmock/gmock.h>

#include "base/error.h"

namespace hearth::forge {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr LeaseTerms kTermsOfHost{.lease_ms = 8'000, .fence_ms = 2'000, .heartbeat_ms = 1'000};

// Hands whose disk may be full.
class HandsOfHost final : public Executor {
 public:
  bool full = false;
  std::vector<JobId> started, buried;
  std::vector<Incarnation> begun;

  Recovered recover() override { return {}; }
  void begin(Incarnation incarnation) override {
    write_down();
    begun.push_back(incarnation);
  }
  void start(const Start& order) override {
    write_down();
    started.push_back(order.job);
  }
  void halt(JobId, Epoch, StopMode) override {}
  void bury(JobId job, Epoch) override { buried.push_back(job); }
  void set_fence(Millis) override {}
  std::vector<Exit> poll(Millis) override { return {}; }

 private:
  void write_down() const {
    if (full) throw_error(ErrorCode::kIo, "order", "no space left");
  }
};

struct AgentHostTest : testing::Test {
  AgentHostTest() {
    host.advance(now);
    renew();
  }
  void renew() { host.receive(now, Lease{.incarnation = 5, .sent_at = now}); }
  void start(JobId job) { host.receive(now, Start{.incarnation = 5, .job = job, .epoch = 1}); }
  // With a heartbeat that is answered.
  void pass(Millis time) {
    for (const Millis end = now + time; now < end;) {
      now += 500;
      renew();
      host.advance(now);
    }
  }
  // What it has said of jobs.
  template <typename Word>
  std::vector<JobId> said() {
    std::vector<JobId> out;
    for (const Event& event : host.take_events()) {
      if (const auto* word = std::get_if<Word>(&event)) out.push_back(word->job);
    }
    return out;
  }
  std::vector<JobId> ended() { return said<Ended>(); }

  Millis now = 100'000;
  HandsOfHost hands;
  AgentHost host{0, 5, hands, kTermsOfHost};
};

TEST_F(AgentHostTest, WhatCannotBeWrittenDownStartsWhenThereIsRoom) {
  hands.full = true;
  start(3);
  pass(4'000);
  EXPECT_THAT(hands.started, IsEmpty());
  start(3);  // the order, said again
  EXPECT_EQ(host.take_words().size(), 1u) << "said once";
  EXPECT_THAT(said<Started>(), IsEmpty()) << "this program may die before it has";
  hands.full = false;
  pass(3'000);
  EXPECT_THAT(hands.started, ElementsAre(3));
  EXPECT_THAT(said<Started>(), ElementsAre(3));
}

TEST_F(AgentHostTest, WhatCannotStartInALeaseIsGivenBack) {
  hands.full = true;
  start(3);
  pass(7'000);
  EXPECT_THAT(ended(), IsEmpty());
  pass(2'000);
  EXPECT_THAT(ended(), testing::Contains(3));
  hands.full = false;
  pass(20'000);
  EXPECT_THAT(hands.started, IsEmpty());
  EXPECT_THAT(hands.buried, ElementsAre(3));
}

TEST_F(AgentHostTest, WhatIsStoppedBeforeItCouldStartIsOver) {
  hands.full = true;
  start(3);
  host.receive(now, Stop{.incarnation = 5, .job = 3, .epoch = 1});
  EXPECT_THAT(ended(), ElementsAre(3));
  EXPECT_THAT(hands.buried, ElementsAre(3));
  hands.full = false;
  pass(10'000);
  EXPECT_THAT(hands.started, IsEmpty());
}

TEST_F(AgentHostTest, NobodyHearsOfALifeThatIsNotWrittenDown) {
  hands.full = true;
  host.advance(now += 60'000);  // its lease is over
  host.take_events();
  host.advance(now += 5'000);
  EXPECT_THAT(host.take_events(), IsEmpty());
  hands.full = false;
  host.advance(now += 5'000);
  EXPECT_THAT(hands.begun, ElementsAre(5, 6));
  EXPECT_FALSE(host.take_events().empty());
}

}  // namespace
}  // namespace hearth::forge
