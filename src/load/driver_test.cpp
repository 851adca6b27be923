#include "load/driver.h"

#include <algorithm>
#include <deque>
#include <gtest/gtest.h>
#include <utility>

#include "base/error.h"
#include "io/json.h"
#include "transport/fake_http.h"

namespace hearth::load {
namespace {

using transport::HttpExchange;

// Answers like an OpenAI server: one event each time it is pumped, ten milliseconds apart.
class FakeServer {
 public:
  void handle(const std::shared_ptr<HttpExchange>& exchange) {
    bodies.push_back(exchange->take_body());
    if (exchange->request().path == "/v1/models") {
      return exchange->respond({200, {}, R"({"data":[{"id":"m"}]})"});
    }
    if (refuse) return exchange->respond({503, {}, R"({"error":{"message":"full"}})"});
    exchange->start_stream({200, {}, {}});
    streaming_ = exchange;
    events_ = {token("a"), token("b"), token("c"),
               R"({"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,)"
               R"("prompt_tokens_details":{"cached_tokens":4}}})"};
    if (!cut) events_.emplace_back("[DONE]");
  }

  bool pump() {
    if (!streaming_) return false;
    if (events_.empty()) {
      std::exchange(streaming_, nullptr)->finish();
      return true;
    }
    clock.advance(10 * kMillisecond);
    streaming_->send("data: " + events_.front() + "\n\n");
    events_.pop_front();
    return true;
  }

  std::unique_ptr<transport::HttpClient> client() {
    return std::make_unique<transport::FakeHttpClient>([this](auto exchange) { handle(exchange); },
                                                       [this] { return pump(); });
  }

  FakeClock clock;
  std::vector<std::string> bodies;
  bool refuse = false;
  bool cut = false;

 private:
  static std::string token(const std::string& text) {
    return R"({"choices":[{"text":")" + text + "\"}]}";
  }

  std::shared_ptr<HttpExchange> streaming_;
  std::deque<std::string> events_;
};

RequestRecord drive_one(FakeServer& server) {
  DriverOptions options;
  options.model = "m";
  options.concurrency_max = 1;
  return drive(
             {{0, 5, 3}}, options, [&] { return server.client(); }, server.clock,
             [](size_t, size_t) {})
      .at(0);
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
  EXPECT_EQ(first_model(*server.client(), {}), "m");
}

}  // namespace
}  // namespace hearth::load
