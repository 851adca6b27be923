#include "serve/deployments/deployments.h"

#include <filesystem>
#include <gtest/gtest.h>
#include <unistd.h>

#include "io/json.h"
#include "serve/test_house.h"

namespace hearth::serve {
namespace {

using io::Json;
using transport::HttpResponse;

// 1 ms a prompt token and a generated one: 60 PTU, less the tenth that a step takes anyway.
ModelHandle measured_model() {
  ModelHandle model = fake_model();
  model.engine.step_time_target = 100 * kMillisecond;
  model.engine.costs = {
      .step_ps = 10'000'000'000, .prompt_token_ps = 1'000'000'000, .sequence_ps = 1'000'000'000};
  model.engine.prices = prices_of(model.engine.costs, model.engine.step_time_target, 64);
  return model;
}

struct House : TestHouse {
  explicit House(ServerOptions options = {}) : TestHouse(std::move(options), measured_model()) {}

  HttpResponse make(const std::string& body) { return post("/v1/deployments", body); }
  HttpResponse send(const std::string& method, const std::string& path, const std::string& body) {
    return client.send(request(method, path, body));
  }
  HttpResponse ask(int tokens, const std::string& more = "") {
    return post("/v1/completions",
                fmt::format(R"({{"prompt":"say forever","max_tokens":{}{}}})", tokens, more));
  }
  static std::string header(const HttpResponse& response, const char* name) {
    const std::string* found = response.headers.find(name);
    return found ? *found : "";
  }
};

TEST(Deployments, WithoutOneNothingIsDifferent) {
  House house;
  const HttpResponse response = house.ask(5);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.find("x-hearth-deployment"), nullptr);
  EXPECT_EQ(response.headers.find("x-ratelimit-limit-tokens"), nullptr);
  const Json list = json_of(house.get("/v1/deployments"));
  EXPECT_TRUE(list["data"].empty());
  EXPECT_NEAR(list["capacity"]["ptu"].get<double>(), 54, 0.1);
  EXPECT_EQ(list["capacity"]["source"], "calibrated");
}

TEST(Deployments, AreMadeShownChangedAndDeleted) {
  House house;
  const HttpResponse made = house.make(R"({"name":"chat","ptu":2.5,"spillover":"standard"})");
  ASSERT_EQ(made.status, 200) << made.body;
  const std::string id = json_of(made)["id"];
  EXPECT_EQ(json_of(made)["tenant"], "default");
  EXPECT_EQ(json_of(made)["model"], "fake");
  EXPECT_EQ(json_of(made)["service_class"], "provisioned");
  EXPECT_EQ(json_of(made)["ptu"], 2.5);
  const Json changed = json_of(house.send("PATCH", "/v1/deployments/chat", R"({"ptu":0.125})"));
  const Json log = json_of(house.get("/v1/organization/audit_logs"))["data"];
  ASSERT_EQ(log.size(), 2u);
  EXPECT_EQ(log[0]["type"], "deployment.updated");
  EXPECT_EQ(log[0]["deployment.updated"]["data"]["ptu"], 0.125);
  EXPECT_EQ(log[1]["type"], "deployment.created");
  EXPECT_EQ(changed["ptu"], 0.125);
  EXPECT_EQ(changed["spillover"], "standard");
  EXPECT_EQ(json_of(house.get("/v1/deployments/" + id))["name"], "chat");
  EXPECT_EQ(house.send("DELETE", "/v1/deployments/" + id, "").status, 200);
  EXPECT_EQ(house.get("/v1/deployments/" + id).status, 404);
}

TEST(Deployments, RefuseWhatMakesNoSense) {
  House house;
  ASSERT_EQ(house.make(R"({"name":"a","ptu":50})").status, 200);
  const auto refused = [&](const char* body, const char* field) {
    const HttpResponse response = house.make(body);
    EXPECT_EQ(response.status, 400) << body;
    EXPECT_EQ(json_of(response)["error"]["param"], field) << response.body;
  };
  refused(R"({"ptu":1})", "name");
  refused(R"({"name":"a","ptu":1,"model":"*"})", "name");
  refused(R"({"name":"b","ptu":1})", "model");
  refused(R"({"name":"b","model":"*"})", "ptu");
  refused(R"({"name":"b","model":"*","ptu":-1})", "ptu");
  refused(R"({"name":"b","model":"*","ptu":5})", "ptu");
  refused(R"({"name":"b","model":"*","service_class":"standard","ptu":5})", "ptu");
  refused(R"({"name":"b","model":"*","service_class":"gold"})", "service_class");
  EXPECT_EQ(house.send("PATCH", "/v1/deployments/a", R"({"ptu":55})").status, 400);
  EXPECT_EQ(house.send("PATCH", "/v1/deployments/x", R"({"ptu":5})").status, 404);
}

TEST(Deployments, OverThePurchasedRateIsA429ThatSaysWhen) {
  House house;
  ASSERT_EQ(house.make(R"({"name":"chat","ptu":0.6})").status, 200);  // 10 units a second
  const HttpResponse first = house.ask(200);
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(House::header(first, "x-hearth-deployment"), "chat");
  EXPECT_EQ(House::header(first, "x-ratelimit-limit-tokens"), "600");
  const HttpResponse second = house.ask(5);
  ASSERT_EQ(second.status, 429) << second.body;
  EXPECT_EQ(json_of(second)["error"]["code"], "rate_limit_exceeded");
  const int64_t wait_ms = std::stoll(House::header(second, "retry-after-ms"));
  EXPECT_GT(wait_ms, 8'000);
  EXPECT_LT(wait_ms, 13'000);
  EXPECT_EQ(House::header(second, "retry-after"), std::to_string((wait_ms + 999) / 1000));
  EXPECT_EQ(House::header(second, "x-ratelimit-remaining-tokens"), "0");
  EXPECT_NE(House::header(second, "x-hearth-utilization"), "");
  house.clock.advance(wait_ms * kMillisecond);
  EXPECT_EQ(house.ask(5).status, 200) << "as it was said";
  const Json status = json_of(house.get("/v1/deployments/chat"))["status"];
  EXPECT_EQ(status["refused"], 1);
  EXPECT_EQ(status["requests"], 2);
  EXPECT_EQ(status["running"], 0);
  EXPECT_EQ(status["waiting"], 0);
  EXPECT_EQ(status["generated_tokens"], 205);
}

TEST(Deployments, AnEstimateIsCorrected) {
  House house;
  ASSERT_EQ(house.make(R"({"name":"chat","ptu":6})").status, 200);  // 100 a second, 1,000 at once
  const auto utilization = [&] {
    return json_of(house.get("/v1/deployments/chat"))["status"]["utilization"].get<double>();
  };
  const auto exchange = house.client.open(house.request(
      "POST", "/v1/completions", R"({"prompt":"say hi","max_tokens":400,"stream":true})"));
  for (int i = 0; i < 2; ++i) house.turn();
  EXPECT_NEAR(utilization(), 0.4, 0.05) << "what it may come to";
  while (house.turn()) {
  }
  EXPECT_LT(utilization(), 0.05) << "what it came to";
  const auto cancelled = house.client.open(house.request(
      "POST", "/v1/completions", R"({"prompt":"say forever","max_tokens":400,"stream":true})"));
  for (int i = 0; i < 4; ++i) house.turn();
  cancelled->close(transport::CloseReason::kPeerClosed);
  while (house.turn()) {
  }
  EXPECT_LT(utilization(), 0.05) << "nobody pays for what was not computed";
}

TEST(Deployments, SpillOverIsStandardWorkAndSaysSo) {
  House house;
  ASSERT_EQ(house.make(R"({"name":"chat","ptu":0.6,"spillover":"standard"})").status, 200);
  EXPECT_EQ(house.ask(200).headers.find("x-hearth-spillover"), nullptr);
  const HttpResponse spilled = house.ask(20);
  EXPECT_EQ(spilled.status, 200);
  EXPECT_EQ(House::header(spilled, "x-hearth-spillover"), "standard");
  EXPECT_EQ(json_of(house.get("/v1/deployments/chat"))["status"]["spilled"], 1);
}

TEST(Deployments, AChangeCountsAtOnce) {
  House house;
  ASSERT_EQ(house.make(R"({"name":"chat","ptu":0.6})").status, 200);
  EXPECT_EQ(house.ask(200).status, 200);
  EXPECT_EQ(house.ask(5).status, 429);
  EXPECT_EQ(house.send("PATCH", "/v1/deployments/chat", R"({"ptu":30})").status, 200);
  EXPECT_EQ(house.ask(5).status, 200);
}

TEST(Deployments, AClientMayAskForLess) {
  House house;
  ASSERT_EQ(house.make(R"({"name":"chat","ptu":0.6})").status, 200);
  EXPECT_EQ(house.ask(200).status, 200);
  EXPECT_EQ(house.ask(5, R"(,"service_tier":"default")").status, 200);
  EXPECT_EQ(house.ask(5, R"(,"service_tier":"flex")").status, 200);
  EXPECT_EQ(house.ask(5, R"(,"service_tier":"auto")").status, 429);
}

TEST(Deployments, SurviveTheProcess) {
  ServerOptions options;
  options.data_dir =
      (std::filesystem::temp_directory_path() / fmt::format("hearth_deployments_{}", ::getpid()))
          .string();
  std::filesystem::create_directories(options.data_dir);
  std::string id;
  {
    House house(options);
    id = json_of(house.make(R"({"name":"chat","ptu":3})"))["id"];
    house.send("PATCH", "/v1/deployments/chat", R"({"ptu":4.5})");
  }
  {
    House house(options);
    EXPECT_EQ(json_of(house.get("/v1/deployments/" + id))["ptu"], 4.5);
    EXPECT_EQ(House::header(house.ask(1), "x-hearth-deployment"), "chat");
  }
  std::filesystem::remove_all(options.data_dir);
}

TEST(Deployments, HaveTheirMetrics) {
  House house;
  house.make(R"({"name":"chat","ptu":6})");
  house.ask(10);
  const std::string text = house.get("/metrics").body;
  const std::string labels =
      R"({model_name="fake",deployment="chat",tenant="default",service_class="provisioned"})";
  EXPECT_NE(text.find("hearth:deployment_ptu" + labels + " 6\n"), std::string::npos) << text;
  EXPECT_NE(text.find("hearth:deployment_generation_tokens_total" + labels + " 10\n"),
            std::string::npos);
  EXPECT_NE(text.find("hearth:deployment_time_per_token_seconds_count" + labels + " 9\n"),
            std::string::npos);
  EXPECT_NE(text.find("hearth:deployment_utilization" + labels), std::string::npos);
}

// By which a page draws rates of its own window.
TEST(Deployments, CountWhatTheyDid) {
  House house;
  ASSERT_EQ(house.make(R"({"name":"chat","ptu":6})").status, 200);
  house.post("/v1/completions", R"({"prompt":"say hello","max_tokens":9})");
  const Json status = json_of(house.get("/v1/deployments/chat"))["status"];
  EXPECT_EQ(status["token_gaps"].get<int64_t>() + 1, status["generated_tokens"].get<int64_t>());
  EXPECT_GT(status["token_seconds"].get<double>(), 0);
  const Json books = json_of(house.get("/v1/organization/usage/completions"))["data"][0];
  EXPECT_NEAR(books["results"][0]["ptu_minutes"], status["ptu_minutes"].get<double>(), 1e-6);
  // A unit is a prompt token, and a PTU a thousand of them a minute.
  EXPECT_GT(status["ptu_minutes"].get<double>() * 1000, status["prompt_tokens"].get<double>() - 1);
}

TEST(Deployments, ATenantSeesItsOwn) {
  ServerOptions options;
  options.api_keys = {hash_api_key("red", "red-key"), hash_api_key("blue", "blue-key")};
  options.admin_keys = {hash_api_key("admin", "admin-key")};
  House house(options);
  const auto with_key = [&](const char* key, const std::string& method, const std::string& path,
                            const std::string& body) {
    auto request = house.request(method, path, body);
    request.headers.set("Authorization", fmt::format("Bearer {}", key));
    return house.client.send(request);
  };
  const std::string body = R"({"name":"chat","tenant":"red","ptu":6})";
  EXPECT_EQ(with_key("red-key", "POST", "/v1/deployments", body).status, 403);
  EXPECT_EQ(with_key("admin-key", "POST", "/v1/deployments", body).status, 200);
  EXPECT_EQ(json_of(with_key("red-key", "GET", "/v1/deployments", ""))["data"].size(), 1u);
  EXPECT_EQ(json_of(with_key("blue-key", "GET", "/v1/deployments", ""))["data"].size(), 0u);
  EXPECT_EQ(with_key("blue-key", "GET", "/v1/deployments/chat", "").status, 404);
  const std::string ask = R"({"prompt":"say hi","max_tokens":4})";
  EXPECT_EQ(
      House::header(with_key("red-key", "POST", "/v1/completions", ask), "x-hearth-deployment"),
      "chat");
  EXPECT_EQ(
      House::header(with_key("blue-key", "POST", "/v1/completions", ask), "x-hearth-deployment"),
      "");
}

}  // namespace
}  // namespace hearth::serve
