// Batches over the API: validation, results, cancelling, expiry, and that no item is lost or
// answered twice however often the server is gone.
#include <gtest/gtest.h>
#include <map>

#include "base/random.h"
#include "serve/service_client.h"
#include "serve/temp_folder.h"

namespace hearth::serve {
namespace {

using io::Json;

struct BatchHouse {
  explicit BatchHouse(const std::string& data_dir) : house(options_in(data_dir)), client(house) {}

  static ServerOptions options_in(const std::string& data_dir) {
    ServerOptions options;
    options.data_dir = data_dir;
    options.services.batch_requests_at_once = 3;
    // The ids of one life are not those of the next.
    static uint64_t seed = 100;
    options.id_seed = ++seed;
    return options;
  }
  // Everything that is left to do, with the ticks of some seconds.
  void run() {
    for (int i = 0; i < 3; ++i) {
      house.service.tick();
      while (house.turn()) {
      }
    }
  }
  Json batch(const std::string& id) { return client.get("/v1/batches/" + id); }

  TestHouse house;
  ServiceClient client;
};

std::string line(const std::string& id, const std::string& text, const char* extra = "") {
  return R"({"custom_id":")" + id +
         R"(","method":"POST","url":"/v1/completions","body":{"model":"fake","prompt":"say )" +
         text + R"(","max_tokens":40)" + extra + "}}\n";
}

std::string begin(ServiceClient& client, const std::string& file_id,
                  const std::string& window = "24h") {
  return client
      .post("/v1/batches", {{"input_file_id", file_id},
                            {"endpoint", "/v1/completions"},
                            {"completion_window", window},
                            {"metadata", {{"night", "1"}}}})["id"]
      .get<std::string>();
}

std::map<std::string, Json> by_id(const std::string& jsonl) {
  std::map<std::string, Json> out;
  for (size_t at = 0; at < jsonl.size();) {
    const size_t end = jsonl.find('\n', at);
    Json entry = io::parse_json(jsonl.substr(at, end - at), "output");
    const auto id = entry["custom_id"].get<std::string>();
    EXPECT_FALSE(out.contains(id)) << id << " twice";
    out[id] = std::move(entry);
    at = end + 1;
  }
  return out;
}

TEST(Batches, ARunWithItsFiles) {
  TempFolder folder;
  BatchHouse t(folder.path());
  const std::string input = t.client.upload(
      "batch", line("a", "one") + "\n" + line("b", "two") + line("c", "x", R"(,"temperature":9)"));
  const std::string id = begin(t.client, input);
  t.run();
  const Json batch = t.batch(id);
  EXPECT_EQ(batch["object"], "batch");
  EXPECT_EQ(batch["status"], "completed");
  EXPECT_EQ(batch["request_counts"], Json({{"total", 3}, {"completed", 2}, {"failed", 1}}));
  EXPECT_EQ(batch["metadata"]["night"], "1");
  EXPECT_EQ(batch["errors"], nullptr);
  EXPECT_EQ(batch["usage"]["output_tokens"], 8);
  const auto output = by_id(t.client.content(batch["output_file_id"].get<std::string>()));
  ASSERT_EQ(output.size(), 2u);
  const Json& first = output.at("a");
  EXPECT_EQ(first["response"]["status_code"], 200);
  EXPECT_EQ(first["response"]["body"]["choices"][0]["text"], "one");
  EXPECT_EQ(first["error"], nullptr);
  EXPECT_TRUE(first["response"]["request_id"].get<std::string>().starts_with("req_"));
  const auto errors = by_id(t.client.content(batch["error_file_id"].get<std::string>()));
  EXPECT_EQ(errors.at("c")["response"]["status_code"], 400);
  EXPECT_EQ(errors.at("c")["response"]["body"]["error"]["param"], "temperature");
  const Json usage =
      t.client.get("/v1/organization/usage/completions?group_by=batch")["data"][0]["results"];
  EXPECT_EQ(usage[0]["batch"], true);
  EXPECT_EQ(usage[0]["output_tokens"], 8);
  EXPECT_EQ(usage[0]["ptu_minutes"], (2 * 8 + 3 * 8) / 1000.0);
  EXPECT_EQ(t.client.get("/v1/batches")["data"][0]["id"], id);
}

TEST(Batches, EveryLineAtFaultIsNamed) {
  TempFolder folder;
  BatchHouse t(folder.path());
  const std::string input = t.client.upload(
      "batch", line("a", "x") + "nonsense\n" + line("a", "y") +
                   R"({"custom_id":"d","method":"GET","url":"/v1/completions","body":{}})"
                   "\n"
                   R"({"custom_id":"e","method":"POST","url":"/v1/embeddings","body":{}})"
                   "\n"
                   R"({"custom_id":"f","method":"POST","url":"/v1/completions"})"
                   "\n"
                   R"({"method":"POST","url":"/v1/completions","body":{}})");
  const std::string id = begin(t.client, input);
  t.run();
  const Json batch = t.batch(id);
  EXPECT_EQ(batch["status"], "failed");
  const Json faults = batch["errors"]["data"];
  ASSERT_EQ(faults.size(), 6u);
  const std::pair<int, const char*> expected[] = {{2, "invalid_json_line"},
                                                  {3, "duplicate_custom_id"},
                                                  {4, "invalid_method"},
                                                  {5, "invalid_url"},
                                                  {6, "missing_required_parameter"},
                                                  {7, "missing_required_parameter"}};
  for (size_t i = 0; i < faults.size(); ++i) {
    EXPECT_EQ(faults[i]["line"], expected[i].first);
    EXPECT_EQ(faults[i]["code"], expected[i].second);
  }
  const std::string empty = begin(t.client, t.client.upload("batch", "\n"));
  t.run();
  EXPECT_EQ(t.batch(empty)["errors"]["data"][0]["code"], "empty_file");
}

TEST(Batches, WhatCannotBeBegunIsSaid) {
  TempFolder folder;
  BatchHouse t(folder.path());
  const std::string input = t.client.upload("batch", line("a", "x"));
  const std::string other = t.client.upload("fine-tune", line("a", "x"));
  const auto status = [&](const Json& change) {
    Json body = {
        {"input_file_id", input}, {"endpoint", "/v1/completions"}, {"completion_window", "24h"}};
    body.update(change);
    return t.client.send("POST", "/v1/batches", body).status;
  };
  EXPECT_EQ(status({{"input_file_id", "file-none"}}), 404);
  EXPECT_EQ(status({{"input_file_id", other}}), 400);
  EXPECT_EQ(status({{"endpoint", "/v1/models"}}), 400);
  EXPECT_EQ(status({{"completion_window", "soon"}}), 400);
  EXPECT_EQ(status({{"metadata", {{"a", 1}}}}), 400);
  EXPECT_EQ(status(Json::object()), 200);
}

TEST(Batches, AreCancelledWithWhatTheyHave) {
  TempFolder folder;
  BatchHouse t(folder.path());
  std::string lines;
  for (int i = 0; i < 20; ++i) lines += line(fmt::format("r{}", i), "hello");
  const std::string id = begin(t.client, t.client.upload("batch", lines));
  t.house.service.tick();
  while (t.batch(id)["request_counts"]["completed"].get<int>() < 3) t.house.turn();
  t.client.post("/v1/batches/" + id + "/cancel");
  t.run();
  const Json batch = t.batch(id);
  EXPECT_EQ(batch["status"], "cancelled");
  EXPECT_NE(batch["cancelling_at"], nullptr);
  const auto done = batch["request_counts"]["completed"].get<size_t>();
  EXPECT_LT(done, 20u);
  EXPECT_EQ(by_id(t.client.content(batch["output_file_id"].get<std::string>())).size(), done);
  EXPECT_EQ(t.client.send("POST", "/v1/batches/" + id + "/cancel").status, 409);
}

// Items that were begun sit out while somebody is served, for as long as that takes.
TEST(Batches, AreOverAtOnceThoughTheirItemsWaitForOthers) {
  for (const char* end : {"cancelled", "expired"}) {
    TempFolder folder;
    BatchHouse t(folder.path());
    const std::string words = std::string(60, 'x');
    const std::string id =
        begin(t.client, t.client.upload("batch", line("a", words) + line("b", words)), "1m");
    t.house.service.tick();
    for (int i = 0; i < 6; ++i) t.house.turn();
    const auto busy = t.house.client.open(TestHouse::request(
        "POST", "/v1/completions",
        R"({"prompt":"say )" + std::string(1500, 'x') + R"(","max_tokens":1500,"stream":true})"));
    for (int i = 0; i < 60; ++i) t.house.turn();
    EXPECT_EQ(t.batch(id)["request_counts"]["completed"], 0) << "they sit out";
    if (std::string(end) == "cancelled") t.client.post("/v1/batches/" + id + "/cancel");
    if (std::string(end) == "expired") t.house.clock.advance(61 * kSecond);
    for (int i = 0; i < 3; ++i) {
      t.house.service.tick();
      for (int j = 0; j < 5; ++j) t.house.turn();
    }
    EXPECT_FALSE(busy->finished());
    EXPECT_EQ(t.batch(id)["status"], end);
    busy->close(transport::CloseReason::kPeerClosed);
  }
}

TEST(Batches, ExpireAndSayWhichWereNotDone) {
  TempFolder folder;
  BatchHouse t(folder.path());
  const auto busy = t.house.client.open(
      TestHouse::request("POST", "/v1/completions",
                         R"({"prompt":"say x","max_tokens":20,"stream":true,"ignore_eos":true})"));
  const std::string id =
      begin(t.client, t.client.upload("batch", line("a", "x") + line("b", "y")), "1m");
  t.house.clock.advance(61 * kSecond);
  t.run();
  const Json batch = t.batch(id);
  EXPECT_EQ(batch["status"], "expired");
  EXPECT_EQ(batch["request_counts"]["failed"], 2);
  const auto errors = by_id(t.client.content(batch["error_file_id"].get<std::string>()));
  EXPECT_EQ(errors.at("a")["error"]["code"], "batch_expired");
  EXPECT_EQ(errors.at("a")["response"], nullptr);
}

TEST(Batches, WaitWhileSomebodyIsServed) {
  TempFolder folder;
  BatchHouse t(folder.path());
  const auto busy = t.house.client.open(TestHouse::request(
      "POST", "/v1/completions",
      R"({"prompt":"say )" + std::string(200, 'x') + R"(","max_tokens":250,"stream":true})"));
  const std::string id = begin(t.client, t.client.upload("batch", line("a", "x")));
  t.house.service.tick();
  for (int i = 0; i < 3; ++i) t.house.turn();
  EXPECT_FALSE(busy->finished());
  EXPECT_EQ(t.batch(id)["status"], "in_progress");
  EXPECT_EQ(t.batch(id)["request_counts"]["completed"], 0);
  while (t.house.turn()) {
  }
  EXPECT_TRUE(busy->finished());
  busy->close(transport::CloseReason::kPeerClosed);
}

TEST(Batches, NothingIsLostOrDoneTwiceWhereverTheServerEnds) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    TempFolder folder;
    std::string id;
    {
      BatchHouse t(folder.path());
      std::string lines;
      for (int i = 0; i < 25; ++i) lines += line(fmt::format("r{}", i), fmt::format("t{}", i));
      id = begin(t.client, t.client.upload("batch", lines));
    }
    Json batch;
    for (int life = 0; life < 200; ++life) {
      BatchHouse t(folder.path());
      batch = t.batch(id);
      if (batch["status"] == "completed") break;
      t.house.service.tick();
      for (uint64_t turns = random.below(40); turns > 0; --turns) t.house.turn();
    }
    ASSERT_EQ(batch["status"], "completed");
    EXPECT_EQ(batch["request_counts"]["completed"], 25);
    BatchHouse t(folder.path());
    const auto output = by_id(t.client.content(batch["output_file_id"].get<std::string>()));
    ASSERT_EQ(output.size(), 25u);
    for (int i = 0; i < 25; ++i) {
      EXPECT_EQ(output.at(fmt::format("r{}", i))["response"]["body"]["choices"][0]["text"],
                fmt::format("t{}", i));
    }
    const Json usage = t.client.get("/v1/organization/usage/completions")["data"][0]["results"];
    EXPECT_EQ(usage[0]["num_model_requests"], 25) << "in the books once each";
    EXPECT_EQ(usage[0]["output_tokens"], batch["usage"]["output_tokens"]);
  }
}

}  // namespace
}  // namespace hearth::serve
