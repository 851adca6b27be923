#include "load/driver.h"

#include <algorithm>
#include <gtest/gtest.h>

#include "base/error.h"
#include "io/json.h"
#include "transport/fake_http.h"

namespace hearth::load {
namespace {

using transport::HttpExchange;

// Answers like an OpenAI server, token by token, and moves the clock as it goes.
class FakeServer {
 public:
  void operator()(const std::shared_ptr<HttpExchange>& exchange) {
    bodies.push_back(exchange->take_body());
    if (exchange->request().path == "/v1/models")
      return exchange->respond({200, {}, R"({"data":[{"id":"m"}]})"});
    if (refuse) return exchange->respond({503, {}, R"({"error":{"message":"full"}})"});
    exchange->start_stream({200, {}, {}});
    for (const char* word : {"a", "b", "c"}) {
      clock.advance(10 * kMillisecond);
      exchange->send(std::string(R"(data: {"choices":[{"text":")") + word + "\"}]}\n\n");
    }
    exchange->send(
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3,"
        "\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\n");
    if (!cut) exchange->send("data: [DONE]\n\n");
    exchange->finish();
  }

  FakeClock clock;
  std::vector<std::string> bodies;
  bool refuse = false;
  bool cut = false;
};

RequestRecord drive_one(FakeServer& server) {
  DriverOptions options;
  options.model = "m";
  options.concurrency_max = 1;
  const auto make = [&] {
    return std::make_unique<transport::FakeHttpClient>([&](auto exchange) { server(exchange); },
                                                       [] { return false; });
  };
  return drive({{0, 5, 3}}, options, make, server.clock, [](size_t, size_t) {}).at(0);
}

TEST(Drive, RecordsWhenEachTokenCame) {
  FakeServer server;
  const RequestRecord record = drive_one(server);
  EXPECT_EQ(record.error, "");
  EXPECT_EQ(record.token_times,
            (std::vector<Nanos>{10 * kMillisecond, 20 * kMillisecond, 30 * kMillisecond}));
  EXPECT_EQ(record.prompt_tokens, 7);
  EXPECT_EQ(record.cached_tokens, 4);
  EXPECT_EQ(record.output_tokens, 3);
}

TEST(Drive, AsksForTheLengthsOfThePlan) {
  FakeServer server;
  drive_one(server);
  const auto body = io::parse_json(server.bodies.at(0), "body");
  EXPECT_EQ(body["max_tokens"], 3);
  EXPECT_EQ(body["ignore_eos"], true);
  const auto prompt = body["prompt"].get<std::string>();
  EXPECT_EQ(std::count(prompt.begin(), prompt.end(), ' '), 4);
}

TEST(Drive, ARefusalIsARecordNotAnException) {
  FakeServer server;
  server.refuse = true;
  EXPECT_EQ(drive_one(server).error, "HTTP 503: full");
}

TEST(Drive, AStreamThatBreaksOffIsAFailure) {
  FakeServer server;
  server.cut = true;
  EXPECT_EQ(drive_one(server).error, "the stream ended before [DONE]");
}

TEST(FirstModel, IsTheFirstThatTheServerLists) {
  FakeServer server;
  transport::FakeHttpClient client([&](auto exchange) { server(exchange); }, [] { return false; });
  EXPECT_EQ(first_model(client, {}), "m");
}

}  // namespace
}  // namespace hearth::load
