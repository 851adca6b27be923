#include "forge/agent/link_door.h"

#include <gtest/gtest.h>

#include "transport/http_client.h"

namespace hearth::forge {
namespace {

// tidy: allow a real clock: what is measured is a real socket
const SystemClock kClock;

LinkPeer peer_at(const LinkDoor& door, const std::string& key) {
  return {"n2", "http://127.0.0.1:" + std::to_string(door.port()), key};
}

TEST(LinkDoor, AVisitorWithTheKeyMeasuresTheWay) {
  const std::string key = link_key("token", "n2");
  LinkDoor door("127.0.0.1", 0, key, kClock);
  const LinkVisit visit = measure_link(peer_at(door, key), kClock);
  ASSERT_EQ(visit.end, LinkEnd::kMeasured) << visit.text;
  EXPECT_GT(visit.speed.round_trip_ms, 0);
  EXPECT_GT(visit.speed.gb_s, 0);
}

TEST(LinkDoor, EachDoorHasAKeyOfItsOwn) {
  LinkDoor door("127.0.0.1", 0, link_key("token", "n2"), kClock);
  for (const std::string& key : {link_key("token", "n1"), link_key("other", "n2"), std::string()}) {
    const LinkVisit visit = measure_link(peer_at(door, key), kClock);
    EXPECT_EQ(visit.end, LinkEnd::kClosed);
    EXPECT_EQ(visit.text, "n2 answers 401");
  }
}

TEST(LinkDoor, WhoComesWhileAnotherIsBeingServedComesAgainLater) {
  FakeClock still;
  const std::string key = link_key("token", "n2");
  LinkDoor door("127.0.0.1", 0, key, still);
  const auto http = transport::make_http_client();
  const auto ask = [&] {
    return http->send({.url = peer_at(door, key).url + "/link/bytes?bytes=1000000",
                       .headers = {{"Authorization", "Bearer " + key}}});
  };
  EXPECT_EQ(ask().body.size(), 1'000'000U);
  EXPECT_EQ(ask().status, 503);
  still.advance(kSecond);
  EXPECT_EQ(ask().status, 200);
}

TEST(LinkDoor, ItGivesAndTakesSoMuchAndNoMore) {
  FakeClock clock;
  const std::string key = link_key("token", "n2");
  LinkDoor door("127.0.0.1", 0, key, clock);
  const auto http = transport::make_http_client();
  transport::ClientRequest request{.url = peer_at(door, key).url + "/link/bytes?bytes=999999999",
                                   .headers = {{"Authorization", "Bearer " + key}}};
  EXPECT_EQ(http->send(request).body.size(), size_t{4} << 20);
  request.method = "POST";
  request.body.assign((size_t{4} << 20) + 1, 'x');
  EXPECT_EQ(http->send(request).status, 413);
}

TEST(LinkDoor, NobodyAtHomeIsSilence) {
  std::string url;
  {
    LinkDoor door("127.0.0.1", 0, "key", kClock);
    url = peer_at(door, "key").url;
  }
  EXPECT_EQ(measure_link({"n2", url, "key"}, kClock).end, LinkEnd::kSilent);
}

TEST(Traffic, AllNetworksButTheMachinesOwn) {
  const Traffic seen = traffic_in(
      "Inter-|   Receive                                                |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs\n"
      "    lo: 9000     1    0    0    0     0          0         0     9000     1    0    0\n"
      "  eth0: 1000     2    0    0    0     0          0         0     30     3    0    0\n"
      "  ib0:5 1 0 0 0 0 0 0 7 1 0 0\n");
  EXPECT_EQ(seen.in, 1'005);
  EXPECT_EQ(seen.out, 37);
}

}  // namespace
}  // namespace hearth::forge
