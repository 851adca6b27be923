#include "forge/server/sqlite_store.h"

#include <gtest/gtest.h>

#include "forge/server/store_house.h"

namespace hearth::forge {
namespace {

TEST(SqliteStore, AServerThatDiesComesBackTheSame) {
  SqliteStore store(":memory:");
  uint64_t before = 0;
  {
    StoreHouse house(store);
    house.join();
    const std::vector<Command> said =
        house.turn(2'000, {Submit{small_job()}, Submit{small_job()}, Submit{small_job()}});
    EXPECT_EQ(said.size(), 2U);
    house.turn(3'000, {Started{0, 1, 0, 1}, Ended{0, 1, 0, 1, Outcome::kSucceeded}, Drain{0}});
    before = house.control->scheduler().fingerprint();
  }
  StoreHouse again(store);
  EXPECT_EQ(again.control->scheduler().fingerprint(), before);
  EXPECT_EQ(again.control->scheduler().job(0).state, JobState::kSucceeded);
  // What the agent has not answered is said again.
  const std::vector<Command> said = again.turn(10'000, {});
  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(std::get<Stop>(said[0]).job, 1);
}

TEST(SqliteStore, OneTurnAnswersEachRequestForItself) {
  SqliteStore store(":memory:");
  StoreHouse house(store);
  JobSpec wrong = small_job();
  wrong.vc = 9;
  JobSpec keyed = small_job();
  keyed.key = "k";
  house.turn(2'000, {Submit{small_job()}, Submit{wrong}, Submit{keyed}, Submit{keyed}, Cancel{77}});
  EXPECT_EQ(house.submitted, (std::vector<JobId>{0, -1, 1, 1, -1}));
  EXPECT_EQ(house.refusals[0], "");
  EXPECT_NE(house.refusals[1].find("virtual cluster"), std::string::npos);
  EXPECT_NE(house.refusals[4].find("no job 77"), std::string::npos);
}

TEST(SqliteStore, ANodeThatFallsSilentIsLostAndSaidToBe) {
  SqliteStore store(":memory:");
  StoreHouse house(store);
  house.join();
  house.turn(2'000, {Submit{small_job()}});
  house.turn(1'002 + 30'000, {});
  EXPECT_FALSE(house.control->scheduler().node_image(0).up);
  bool lost = false;
  for (const NumberedNote& note : store.notes(-1, -1, 100))
    lost |= note.note.kind == NoteKind::kNodeLost;
  EXPECT_TRUE(lost);
  const std::vector<Span> spans = store.spans(0, 100'000, 10);
  ASSERT_EQ(spans.size(), 1U);
  EXPECT_EQ(spans[0].devices, "0,1");
  EXPECT_EQ(spans[0].until, 31'002);
}

TEST(SqliteStore, AFleetMayGrowAndNotForget) {
  SqliteStore store(":memory:");
  { StoreHouse house(store); }
  FleetSpec more = single_fleet();
  more.kinds.push_back({"gpu", 80, 400});
  EXPECT_NO_THROW(Control(store, more, policy_named("fifo"), {}, 0));
  EXPECT_THROW(Control(store, single_fleet(), policy_named("fifo"), {}, 0), Error);
}

TEST(SqliteStore, SamplesComeBack) {
  SqliteStore store(":memory:");
  store.add_sample({.at = 5, .devices = 8, .busy_milli = 1'500, .vc_milli = {1, 2}});
  const std::vector<Sample> samples = store.samples(0, 10);
  ASSERT_EQ(samples.size(), 1U);
  EXPECT_EQ(samples[0].vc_milli, (std::vector<int32_t>{1, 2}));
}

}  // namespace
}  // namespace hearth::forge
