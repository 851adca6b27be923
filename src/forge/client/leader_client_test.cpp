#include "forge/client/leader_client.h"

#include <gmock/gmock.h>

#include "base/error.h"

namespace hearth::forge {
namespace {

using testing::ElementsAre;
using transport::ClientRequest;
using transport::ClientStream;
using transport::HttpResponse;

// Servers by address: an answer each, or none.
class ServersOfATest final : public transport::HttpClient {
 public:
  std::map<std::string, HttpResponse> answers;
  std::vector<std::string> asked;

  void stream(const ClientRequest& request, const ClientStream& sink) override {
    const std::string place = request.url.substr(0, request.url.find("/v1"));
    asked.push_back(place);
    const auto found = answers.find(place);
    if (found == answers.end()) throw_error(ErrorCode::kIo, place, "nobody there");
    sink.on_head(found->second);
    if (!found->second.body.empty()) sink.on_bytes(found->second.body);
  }
};

HttpResponse follower_of(const std::string& leader) {
  return {leader == kNoLeader ? 503 : 307, {{kLeaderHeader, leader}}, "go away"};
}

struct LeaderClientHouse {
  explicit LeaderClientHouse(const std::string& urls) {
    auto owned = std::make_unique<ServersOfATest>();
    servers = owned.get();
    client = make_leader_client(urls, std::move(owned));
  }
  std::string ask() { return client->send({.url = "/v1/forge/state"}).body; }
  // Whom one request went to, whatever came of it.
  std::vector<std::string> asked_by_one() {
    try {
      ask();
    } catch (const Error& error) {
      EXPECT_EQ(error.code, ErrorCode::kIo);
    }
    return std::exchange(servers->asked, {});
  }

  ServersOfATest* servers;
  std::unique_ptr<transport::HttpClient> client;
};

TEST(LeaderClient, WhoeverIsSentOnStaysThere) {
  LeaderClientHouse house("http://a:1,http://b:1/");
  house.servers->answers["http://a:1"] = follower_of("http://c:1");
  house.servers->answers["http://c:1"] = {200, {}, "here"};
  EXPECT_EQ(house.ask(), "here");
  EXPECT_EQ(house.ask(), "here");
  EXPECT_THAT(house.servers->asked, ElementsAre("http://a:1", "http://c:1", "http://c:1"));
}

TEST(LeaderClient, WhoDoesNotAnswerIsLeftForTheNext) {
  LeaderClientHouse house("http://a:1,http://b:1");
  house.servers->answers["http://b:1"] = {200, {}, "here"};
  EXPECT_EQ(house.ask(), "here");
  house.servers->answers.clear();
  EXPECT_THROW(house.ask(), Error);
  house.servers->answers["http://a:1"] = {200, {}, "there"};
  EXPECT_EQ(house.ask(), "there");
}

TEST(LeaderClient, WhereNobodyDecidesItMayBeAskedAgain) {
  LeaderClientHouse house("http://a:1");
  house.servers->answers["http://a:1"] = follower_of(kNoLeader);
  try {
    house.ask();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code, ErrorCode::kIo);
  }
  house.servers->answers["http://a:1"] = {404, {}, "no job 7"};
  EXPECT_EQ(house.ask(), "no job 7");  // an answer, if not a glad one
}

TEST(LeaderClient, WhileNobodyDecidesTheSilentOneIsPassedOver) {
  LeaderClientHouse house("http://a:1,http://b:1");
  house.servers->answers["http://b:1"] = follower_of(kNoLeader);
  EXPECT_THAT(house.asked_by_one(), ElementsAre("http://a:1", "http://b:1"));
  for (int i = 0; i < 10; ++i) EXPECT_THAT(house.asked_by_one(), ElementsAre("http://b:1"));
  // It may be back, and the other one cut off from etcd.
  std::vector<std::string> asked;
  for (int i = 0; i < 4; ++i)
    for (const std::string& place : house.asked_by_one()) asked.push_back(place);
  EXPECT_THAT(asked, testing::Contains("http://a:1"));
}

// Until its lease in etcd is over the others name it, and each visit would cost a silence.
TEST(LeaderClient, NobodyIsSentToWhoHasJustBeenSilent) {
  LeaderClientHouse house("http://a:1,http://b:1,http://c:1");
  house.servers->answers["http://b:1"] = follower_of("http://a:1");
  house.servers->answers["http://c:1"] = follower_of("http://a:1");
  EXPECT_THAT(house.asked_by_one(), ElementsAre("http://a:1", "http://b:1"));
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(house.asked_by_one(), ElementsAre("http://c:1"));
    EXPECT_THAT(house.asked_by_one(), ElementsAre("http://b:1"));
  }
  house.servers->answers["http://c:1"] = {200, {}, "here"};
  EXPECT_EQ(house.ask(), "here");
}

TEST(LeaderClient, WhoWasSilentForAMomentAndIsStillNamedIsAskedAgain) {
  // Named as the list does not: by its own address.
  LeaderClientHouse house("http://b:1,http://c:1");
  house.servers->answers["http://b:1"] = follower_of("http://10.0.0.1:1");
  house.servers->answers["http://c:1"] = follower_of("http://10.0.0.1:1");
  EXPECT_THAT(house.asked_by_one(), ElementsAre("http://b:1", "http://10.0.0.1:1", "http://c:1"));
  EXPECT_THAT(house.asked_by_one(), ElementsAre("http://b:1"));
  house.servers->answers["http://10.0.0.1:1"] = {200, {}, "here"};
  int rounds = 0;
  while (rounds < 20 && house.asked_by_one().back() != "http://10.0.0.1:1") ++rounds;
  EXPECT_LT(rounds, 12);
}

TEST(LeaderClient, WhereAllAreSilentEachIsAsked) {
  LeaderClientHouse house("http://a:1,http://b:1");
  for (int i = 0; i < 3; ++i)
    EXPECT_THAT(house.asked_by_one(), testing::UnorderedElementsAre("http://a:1", "http://b:1"));
}

TEST(LeaderClient, ServersThatSendEachOtherEndTheRound) {
  LeaderClientHouse house("http://a:1,http://b:1");
  house.servers->answers["http://a:1"] = follower_of("http://b:1");
  house.servers->answers["http://b:1"] = follower_of("http://a:1");
  EXPECT_THROW(house.ask(), Error);
}

TEST(LeaderClient, AListIsCheckedPartByPart) {
  EXPECT_THAT(server_list("http://a:1/,https://b"), ElementsAre("http://a:1", "https://b"));
  EXPECT_THROW(server_list("http://a:1,b:2"), Error);
  EXPECT_THROW(server_list(""), Error);
  EXPECT_EQ(silence_of("http://a:1", 300, 10), 300);
  EXPECT_EQ(silence_of("http://a:1,http://b:1", 300, 10), 10);
}

}  // namespace
}  // namespace hearth::forge
