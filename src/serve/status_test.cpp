#include <gtest/gtest.h>

#include "io/json.h"
#include "serve/test_house.h"

namespace hearth::serve {
namespace {

using io::Json;

Json status_of(TestHouse& house) {
  return io::parse_json(house.get("/v1/hearth/status").body, "status");
}

TEST(Status, SaysWhatTheServerIsAndDid) {
  ServerOptions options;
  options.version = "9.8.7";
  TestHouse house(options);
  house.post("/v1/completions", R"({"prompt":"say hi","max_tokens":9})");
  const Json status = status_of(house);
  EXPECT_EQ(status["model"], "fake");
  EXPECT_EQ(status["version"], "9.8.7");
  EXPECT_EQ(status["ready"], true);
  EXPECT_EQ(status["healthy"], true);
  EXPECT_EQ(status["requests"]["running"], 0);
  EXPECT_GT(status["tokens"]["generated"], 0);
  EXPECT_GT(status["kv_cache"]["blocks"], 0);
  EXPECT_EQ(status["finished"].size(), 1u) << status.dump();
  EXPECT_TRUE(status["rejections"].empty());
  EXPECT_TRUE(status["live"].contains("generation_tokens_per_second"));
}

TEST(Status, CountsRejectionsByReason) {
  ServerOptions options;
  options.api_keys = {hash_api_key("ann", "key-ann")};
  TestHouse house(options);
  EXPECT_EQ(house.get("/v1/hearth/status").status, 401);
  auto asked = house.request("GET", "/v1/hearth/status");
  asked.headers.set("Authorization", "Bearer key-ann");
  const Json status = io::parse_json(house.client.send(asked).body, "status");
  EXPECT_EQ(status["rejections"]["unauthorized"], 1);
}

TEST(Status, SaysThatItDrains) {
  TestHouse house;
  house.service.drain();
  EXPECT_EQ(status_of(house)["ready"], false);
}

}  // namespace
}  // namespace hearth::serve
