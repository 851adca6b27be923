// Requests and what they must be answered: tests/api/*.json, each on a fresh service over the fake
// model. A reply has to contain what the case says, and may contain more; lists have the same
// length.
#include <filesystem>
#include <gtest/gtest.h>

#include "io/json.h"
#include "serve/test_house.h"
#include "transport/sse.h"

namespace hearth::serve {
namespace {

using io::Json;

// Where `got` lacks something of `want`; empty when it has everything.
std::string difference(const Json& want, const Json& got, const std::string& path) {
  if (want.is_object() && got.is_object()) {
    for (const auto& [key, value] : want.items()) {
      if (!got.contains(key)) return path + "." + key + " is missing";
      if (auto text = difference(value, got[key], path + "." + key); !text.empty()) return text;
    }
    return {};
  }
  if (want.is_array() && got.is_array() && want.size() == got.size()) {
    for (size_t i = 0; i < want.size(); ++i) {
      auto text = difference(want[i], got[i], fmt::format("{}[{}]", path, i));
      if (!text.empty()) return text;
    }
    return {};
  }
  return want == got ? std::string()
                     : path + ": expected " + io::dump_json(want) + ", got " + io::dump_json(got);
}

Json events_of(const std::string& body) {
  Json out = Json::array();
  transport::SseParser parser([&](const transport::SseEvent& event) {
    out.push_back(event.data == "[DONE]" ? Json(event.data) : io::parse_json(event.data, "event"));
  });
  parser.feed(body);
  return out;
}

void check(const Json& api_case) {
  TestHouse house;
  const std::string body = api_case.contains("raw")    ? api_case["raw"].get<std::string>()
                           : api_case.contains("body") ? io::dump_json(api_case["body"])
                                                       : "";
  const std::string method = io::json_get<std::string>(api_case, "method", "POST", "case");
  const auto response =
      house.client.send(TestHouse::request(method, api_case["path"].get<std::string>(), body));
  EXPECT_EQ(response.status, api_case["status"].get<int>()) << response.body;
  if (api_case.contains("reply")) {
    EXPECT_EQ(difference(api_case["reply"], io::parse_json(response.body, "reply"), "reply"), "");
  }
  if (api_case.contains("events")) {
    EXPECT_EQ(difference(api_case["events"], events_of(response.body), "events"), "")
        << response.body;
  }
  if (!api_case.contains("headers")) return;
  for (const auto& [name, value] : api_case["headers"].items()) {
    const std::string* header = response.headers.find(name);
    ASSERT_NE(header, nullptr) << name;
    EXPECT_EQ(*header, value.get<std::string>());
  }
}

TEST(ApiCases, AreAnsweredAsWritten) {
  int count = 0;
  const std::string folder = std::string(HEARTH_SOURCE_DIR) + "/tests/api";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".json") continue;
    for (const Json& api_case : io::load_json(entry.path().string())) {
      SCOPED_TRACE(entry.path().filename().string() + ": " + api_case["name"].get<std::string>());
      check(api_case);
      ++count;
    }
  }
  EXPECT_GT(count, 50);
}

TEST(StoredResponses, AreShownGoneOnFromAndDeleted) {
  TestHouse house;
  const Json first =
      io::parse_json(house.post("/v1/responses", R"({"input":"say one"})").body, "first");
  const std::string id = first["id"];
  EXPECT_EQ(io::parse_json(house.get("/v1/responses/" + id).body, "stored"), first);
  const Json second = io::parse_json(
      house.post("/v1/responses", R"({"input":"and again","previous_response_id":")" + id + "\"}")
          .body,
      "second");
  // The earlier words are part of the prompt.
  EXPECT_EQ(second["output"][0]["content"][0]["text"], "one");
  EXPECT_GT(second["usage"]["input_tokens"], first["usage"]["input_tokens"]);
  const auto remove = TestHouse::request("DELETE", "/v1/responses/" + id);
  EXPECT_EQ(house.client.send(remove).status, 200);
  EXPECT_EQ(house.client.send(remove).status, 404);
  EXPECT_EQ(
      house.post("/v1/responses", R"({"input":"x","previous_response_id":")" + id + "\"}").status,
      404);
}

}  // namespace
}  // namespace hearth::serve
