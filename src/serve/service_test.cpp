#include "serve/service.h"

#include <gtest/gtest.h>

#include "io/json.h"
#include "serve/test_house.h"
#include "transport/sse.h"

namespace hearth::serve {
namespace {

using io::Json;
using transport::CloseReason;
using transport::HttpResponse;

std::string chat_body(const std::string& say, const std::string& more = "") {
  return R"({"model":"fake","messages":[{"role":"user","content":"say )" + say + "\"}]" + more +
         "}";
}

std::vector<std::string> events_of(const HttpResponse& response) {
  std::vector<std::string> out;
  transport::SseParser parser([&](transport::SseEvent event) { out.push_back(event.data); });
  parser.feed(response.body);
  return out;
}

TEST(Service, AnswersAChat) {
  TestHouse house;
  const HttpResponse response = house.post("/v1/chat/completions", chat_body("hi there"));
  ASSERT_EQ(response.status, 200) << response.body;
  const Json body = json_of(response);
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_EQ(body["choices"][0]["message"]["content"], "hi there");
  EXPECT_EQ(body["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(body["usage"]["completion_tokens"], 9);
  EXPECT_NE(response.headers.find("x-request-id"), nullptr);
}

TEST(Service, StreamsAChat) {
  TestHouse house;
  const HttpResponse response = house.post(
      "/v1/chat/completions",
      chat_body("h\xC3\xA9y", R"(,"stream":true,"stream_options":{"include_usage":true})"));
  const std::vector<std::string> events = events_of(response);
  ASSERT_GE(events.size(), 4u) << response.body;
  EXPECT_EQ(events.back(), "[DONE]");
  std::string text;
  for (size_t i = 0; i + 1 < events.size(); ++i) {
    const Json chunk = io::parse_json(events[i], "event");
    if (chunk["choices"].empty()) {
      EXPECT_EQ(chunk["usage"]["completion_tokens"], 5);
      continue;
    }
    const Json& delta = chunk["choices"][0]["delta"];
    if (delta.contains("content")) text += delta["content"].get<std::string>();
  }
  EXPECT_EQ(text, "h\xC3\xA9y");
}

// A long prompt takes many steps; the client knows from the first on that it was taken.
TEST(Service, AStreamBeginsWhenTheEngineTakesTheRequest) {
  for (const char* path : {"/v1/chat/completions", "/v1/completions"}) {
    ModelHandle model = fake_model();
    model.engine.max_num_seqs = 4;
    model.engine.max_num_batched_tokens = 16;
    TestHouse house({}, std::move(model));
    const std::string text(400, 'x');
    const std::string body = R"({"messages":[{"role":"user","content":")" + text +
                             R"("}],"prompt":")" + text + R"(","stream":true})";
    const auto exchange = house.client.open(house.request("POST", path, body));
    house.turn();  // reads the body
    EXPECT_FALSE(exchange->started()) << path;
    house.turn();  // the first of many steps
    ASSERT_TRUE(exchange->started()) << path;
    EXPECT_EQ(exchange->response().body, "") << path;
    while (house.turn()) {
    }
    EXPECT_TRUE(exchange->finished()) << path;
  }
}

TEST(Service, AClientThatLeavesIsForgottenWithinAStep) {
  TestHouse house;
  const auto exchange = house.client.open(
      house.request("POST", "/v1/chat/completions", chat_body("forever", R"(,"stream":true)")));
  for (int i = 0; i < 10; ++i) house.turn();
  EXPECT_EQ(house.service.engine().stats().running, 1);
  exchange->close(CloseReason::kPeerClosed);
  house.turn();
  EXPECT_EQ(house.service.engine().stats().running, 0);
  EXPECT_EQ(house.service.engine().unfinished(), 0);
}

TEST(Service, ASlowClientPausesItsTextAndNotTheEngine) {
  TestHouse house;
  const auto exchange = house.client.open(house.request(
      "POST", "/v1/completions", R"({"prompt":"say forever","max_tokens":50,"stream":true})"));
  exchange->fill();
  for (int i = 0; i < 80; ++i) house.turn();
  EXPECT_EQ(house.service.engine().unfinished(), 0);
  EXPECT_FALSE(exchange->finished());
  const size_t before = exchange->response().body.size();
  exchange->drain();
  while (house.turn()) {
  }
  EXPECT_TRUE(exchange->finished());
  EXPECT_GT(exchange->response().body.size(), before);
}

TEST(Service, DrainingRefusesNewWorkAndFinishesTheOld) {
  TestHouse house;
  const auto running = house.client.open(
      house.request("POST", "/v1/completions", R"({"prompt":"say done","max_tokens":50})"));
  house.turn();
  house.service.drain();
  const HttpResponse refused = house.post("/v1/chat/completions", chat_body("x"));
  EXPECT_EQ(refused.status, 503);
  EXPECT_NE(refused.headers.find("retry-after"), nullptr);
  EXPECT_EQ(house.get("/ready").status, 503);
  EXPECT_EQ(house.get("/health").status, 200);
  while (house.turn()) {
  }
  ASSERT_TRUE(running->finished());
  EXPECT_EQ(json_of(running->response())["choices"][0]["text"], "done");
}

TEST(Service, AFailedStepIsAnErrorAndTheNextOneAnswers) {
  TestHouse house;
  house.runner.fail_with("the device is gone");
  const HttpResponse response = house.post("/v1/chat/completions", chat_body("x"));
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(json_of(response)["error"]["message"], "the device is gone");
  EXPECT_EQ(house.get("/health").status, 503);
  house.runner.fail_with("");
  EXPECT_EQ(house.post("/v1/chat/completions", chat_body("x")).status, 200);
  EXPECT_EQ(house.get("/health").status, 200);
}

TEST(Service, AFailedStepEndsWhatItWasForAndLeavesNothingBehind) {
  TestHouse house;
  const std::string text(100, 'x');
  const auto open = [&](const std::string& more) {
    return house.client.open(
        house.request("POST", "/v1/completions", R"({"prompt":")" + text + "\"" + more + "}"));
  };
  const auto whole = open("");
  const auto streamed = open(R"(,"stream":true)");
  house.turn();  // reads the bodies
  house.runner.fail_with("out of memory");
  while (house.turn()) {
  }
  ASSERT_TRUE(whole->finished() && streamed->finished());
  EXPECT_EQ(whole->response().status, 500);
  EXPECT_EQ(json_of(whole->response())["error"]["message"], "out of memory");
  // The head of the stream is gone already: the error is an event, and the end.
  EXPECT_EQ(streamed->response().status, 200);
  const auto events = events_of(streamed->response());
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(io::parse_json(events[0], "event")["error"]["code"], "engine_error");
  EXPECT_EQ(house.service.engine().unfinished(), 0);
  EXPECT_EQ(house.service.engine().stats().running, 0);

  // What the failed step left in the cache is not taken for the prompt's.
  house.runner.fail_with("");
  const auto cached = [&] {
    const auto response = house.post("/v1/completions", R"({"prompt":")" + text + "\"}");
    return json_of(response)["usage"]["prompt_tokens_details"]["cached_tokens"].get<int>();
  };
  EXPECT_EQ(cached(), 0);
  EXPECT_GT(cached(), 0);
}

TEST(Service, KeysAreAskedForAndTenantsAreLimited) {
  ServerOptions options;
  options.api_keys = {hash_api_key("ann", "secret-1"), hash_api_key("bob", "secret-2")};
  options.tenant_requests_max = 1;
  TestHouse house(options);
  const HttpResponse refused = house.post("/v1/chat/completions", chat_body("x"));
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(json_of(refused)["error"]["code"], "invalid_api_key");
  const auto ask = [&](const std::string& key) {
    auto request = house.request("POST", "/v1/chat/completions", chat_body("forever"));
    request.headers.set("Authorization", "Bearer " + key);
    return house.client.open(request);
  };
  const auto first = ask("secret-1");
  house.turn();
  EXPECT_FALSE(first->started());
  EXPECT_EQ(ask("secret-1")->response().status, 429);
  EXPECT_FALSE(ask("secret-2")->started());
  EXPECT_EQ(house.get("/health").status, 200);
  first->close(CloseReason::kPeerClosed);
}

TEST(Service, AFullQueueIsRefusedEarly) {
  ModelHandle model = fake_model();
  model.engine.max_queued_requests = 2;
  TestHouse house({}, std::move(model));
  std::vector<std::shared_ptr<transport::FakeExchange>> open;
  for (int i = 0; i < 3; ++i) {
    open.push_back(
        house.client.open(house.request("POST", "/v1/chat/completions", chat_body("forever"))));
  }
  while (house.executor.run_one()) {
  }
  ASSERT_TRUE(open[2]->finished());
  EXPECT_EQ(open[2]->response().status, 503);
  EXPECT_EQ(*open[2]->response().headers.find("retry-after"), "1");
  EXPECT_EQ(json_of(open[2]->response())["error"]["code"], "queue_full");
}

TEST(Service, CorsIsOffUntilAnOriginIsAllowed) {
  const auto ask = [](TestHouse& house, const std::string& method) {
    auto request = house.request(method, "/v1/models");
    request.headers.set("Origin", "https://page.example");
    return house.client.send(request);
  };
  TestHouse closed;
  EXPECT_EQ(ask(closed, "GET").headers.find("access-control-allow-origin"), nullptr);
  ServerOptions options;
  options.cors_origins = {"https://page.example"};
  TestHouse open(options);
  EXPECT_EQ(*ask(open, "GET").headers.find("access-control-allow-origin"), "https://page.example");
  const HttpResponse preflight = ask(open, "OPTIONS");
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(*preflight.headers.find("access-control-allow-methods"), "GET");
}

TEST(Service, ServesTheWebPage) {
  ServerOptions options;
  options.web = {{"/index.html", transport::content_type_of("/index.html"), "<p>hi</p>"}};
  TestHouse house(options);
  const HttpResponse page = house.get("/");
  EXPECT_EQ(page.body, "<p>hi</p>");
  EXPECT_EQ(*page.headers.find("content-type"), "text/html; charset=utf-8");
  auto again = house.request("GET", "/index.html");
  again.headers.set("If-None-Match", *page.headers.find("etag"));
  EXPECT_EQ(house.client.send(again).status, 304);
  EXPECT_EQ(house.get("/nothing").status, 404);
}

TEST(Service, EmbedsAsNumbersAndAsBase64) {
  TestHouse house;
  const Json numbers =
      json_of(house.post("/v1/embeddings", R"({"input":["ab","abc"],"model":"fake"})"));
  ASSERT_EQ(numbers["data"].size(), 2u) << numbers.dump();
  EXPECT_EQ(numbers["data"][1]["embedding"].size(), 4u);
  EXPECT_EQ(numbers["pooling"], "mean");
  const Json coded = json_of(
      house.post("/v1/embeddings", R"({"input":"ab","encoding_format":"base64","dimensions":2})"));
  EXPECT_EQ(coded["data"][0]["embedding"].get<std::string>().size(), 12u);
}

TEST(Service, CountsWhatItDid) {
  TestHouse house;
  house.post("/v1/chat/completions", chat_body("hello"));
  const std::string text = house.get("/metrics").body;
  for (const char* line :
       {"hearth:request_success_total{model_name=\"fake\",finished_reason=\"stop\"} 1\n",
        "hearth:time_to_first_token_seconds_count{model_name=\"fake\"} 1\n",
        "hearth:generation_tokens_total{model_name=\"fake\"} 6\n",
        "http_requests_total{handler=\"/v1/chat/completions\",method=\"POST\",status=\"200\"} "
        "1\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

TEST(Service, TellsWhatASilentRequestGets) {
  ModelHandle model = fake_model();
  model.defaults.temperature = 0.5;
  model.defaults.top_k = 20;
  TestHouse house({}, std::move(model));
  const io::Json models = io::parse_json(house.get("/v1/models").body, "models");
  EXPECT_EQ(models["data"][0]["sampling"], (io::Json{{"temperature", 0.5}, {"top_k", 20}}));
}

TEST(Service, TellsLiveNumbersEachSecond) {
  TestHouse house;
  const auto exchange = house.client.open(house.request("GET", "/v1/hearth/stats"));
  house.post("/v1/chat/completions", chat_body("hello"));
  house.service.tick();
  house.service.drain();
  ASSERT_TRUE(exchange->finished());
  const std::vector<std::string> events = events_of(exchange->response());
  ASSERT_EQ(events.size(), 3u);
  EXPECT_TRUE(io::parse_json(events[0], "event")["ttft_seconds"]["p50"].is_null());
  EXPECT_TRUE(io::parse_json(events[1], "event")["ttft_seconds"]["p50"].is_number());
  EXPECT_GE(io::parse_json(events[1], "event")["tokens_per_step"], 1);
  EXPECT_EQ(events[2], "[DONE]");
}

}  // namespace
}  // namespace hearth::serve
