// Tenants, keys, limits, usage and the audit log over the API, and what of it is there after a
// restart.
#include <gtest/gtest.h>

#include "io/file.h"
#include "io/json.h"
#include "io/sqlite.h"
#include "serve/state/schema.h"
#include "serve/state/state.h"
#include "serve/temp_folder.h"
#include "serve/tenants/usage_store.h"
#include "serve/test_house.h"

namespace hearth::serve {
namespace {

using io::Json;
using transport::HttpResponse;

ServerOptions kept_in(const TempFolder& folder) {
  ServerOptions options;
  options.data_dir = folder.path();
  return options;
}

HttpResponse send(TestHouse& house, const std::string& key, const std::string& method,
                  const std::string& path, const Json& body = nullptr) {
  auto request = TestHouse::request(method, path, body.is_null() ? "" : io::dump_json(body));
  if (!key.empty()) request.headers.set("Authorization", "Bearer " + key);
  return house.client.send(request);
}

Json answer(TestHouse& house, const std::string& key, const std::string& method,
            const std::string& path, const Json& body = nullptr) {
  const HttpResponse response = send(house, key, method, path, body);
  EXPECT_EQ(response.status, 200) << path << ": " << response.body;
  return io::parse_json(response.body, path);
}

constexpr const char* kProjects = "/v1/organization/projects";

// An admin's key and a tenant's, made as an operator would.
struct Keys {
  std::string admin, ann, ann_id;
  explicit Keys(TestHouse& house, const Json& project = {{"name", "ann"}}) {
    answer(house, "", "POST", kProjects, project);
    admin =
        answer(house, "", "POST", "/v1/organization/admin_api_keys", {{"name", "root"}})["value"]
            .get<std::string>();
    const Json key = answer(house, admin, "POST", std::string(kProjects) + "/ann/api_keys",
                            {{"name", "laptop"}});
    ann = key["value"].get<std::string>();
    ann_id = key["id"].get<std::string>();
  }
};

const Json kSay = {{"prompt", "say hello"}, {"max_tokens", 20}};

TEST(Tenants, TheFirstKeyClosesAnOpenServer) {
  TestHouse house;
  EXPECT_EQ(answer(house, "", "GET", "/v1/hearth/whoami")["role"], "admin");
  const Keys keys(house);
  EXPECT_EQ(send(house, "", "POST", "/v1/completions", kSay).status, 401);
  EXPECT_EQ(send(house, "hearth-wrong", "POST", "/v1/completions", kSay).status, 401);
  EXPECT_EQ(send(house, keys.ann, "POST", "/v1/completions", kSay).status, 200);
  EXPECT_EQ(send(house, keys.ann, "GET", kProjects).status, 403);
  const Json who = answer(house, keys.ann, "GET", "/v1/hearth/whoami");
  EXPECT_EQ(who["project"], "ann");
  EXPECT_EQ(who["role"], "tenant");
  EXPECT_EQ(who["api_key_id"], keys.ann_id);
}

TEST(Tenants, OnlyHashesAreKept) {
  TempFolder folder;
  TestHouse house(kept_in(folder));
  const Keys keys(house);
  const Json listed =
      answer(house, keys.admin, "GET", std::string(kProjects) + "/ann/api_keys")["data"];
  ASSERT_EQ(listed.size(), 1u);
  EXPECT_FALSE(listed[0].contains("value"));
  EXPECT_EQ(io::dump_json(listed).find(keys.ann), std::string::npos);
  for (const auto& file : std::filesystem::directory_iterator(folder.path())) {
    if (!file.is_regular_file()) continue;
    const std::string bytes = io::read_file(file.path().string());
    EXPECT_EQ(bytes.find(keys.ann), std::string::npos) << file.path();
    EXPECT_EQ(bytes.find(keys.ann.substr(16)), std::string::npos) << file.path();
  }
}

TEST(Tenants, KeysExpireAreRevokedAndAreLimitedToScopes) {
  TestHouse house;
  const Keys keys(house);
  const std::string path = std::string(kProjects) + "/ann/api_keys";
  const Json brief = answer(house, keys.admin, "POST", path, {{"expires_in", 60}});
  const auto secret = brief["value"].get<std::string>();
  EXPECT_EQ(send(house, secret, "GET", "/v1/models").status, 200);
  house.clock.advance(61 * kSecond);
  EXPECT_EQ(send(house, secret, "GET", "/v1/models").status, 401);

  const Json narrow = answer(house, keys.admin, "POST", path, {{"scopes", {"usage"}}});
  const auto limited = narrow["value"].get<std::string>();
  EXPECT_EQ(send(house, limited, "POST", "/v1/completions", kSay).status, 403);
  EXPECT_EQ(send(house, limited, "GET", "/v1/organization/usage/completions").status, 200);
  const HttpResponse unknown = send(house, keys.admin, "POST", path, {{"scopes", {"everything"}}});
  EXPECT_EQ(unknown.status, 400);
  EXPECT_NE(unknown.body.find("fine_tuning"), std::string::npos) << unknown.body;

  answer(house, keys.admin, "DELETE", path + "/" + keys.ann_id);
  EXPECT_EQ(send(house, keys.ann, "GET", "/v1/models").status, 401);
  EXPECT_EQ(send(house, keys.admin, "DELETE", path + "/" + keys.ann_id).status, 404);
}

TEST(Tenants, AnArchivedProjectsKeysAreRefused) {
  TestHouse house;
  const Keys keys(house);
  answer(house, keys.admin, "POST", std::string(kProjects) + "/ann/archive");
  EXPECT_EQ(send(house, keys.ann, "GET", "/v1/models").status, 401);
  EXPECT_EQ(answer(house, keys.admin, "GET", kProjects)["data"].size(), 1u) << "the default one";
  EXPECT_EQ(
      answer(house, keys.admin, "GET", std::string(kProjects) + "?include_archived=true")["data"]
          .size(),
      2u);
  EXPECT_EQ(send(house, keys.admin, "POST", std::string(kProjects) + "/default/archive").status,
            400);
}

TEST(Tenants, KeysOfTheCommandLineStillOpen) {
  ServerOptions options;
  options.api_keys = {hash_api_key("default", "flag-key")};
  options.admin_keys = {hash_api_key("admin", "admin-key")};
  TestHouse house(options);
  EXPECT_EQ(send(house, "flag-key", "POST", "/v1/completions", kSay).status, 200);
  EXPECT_EQ(send(house, "flag-key", "GET", kProjects).status, 403);
  EXPECT_EQ(send(house, "admin-key", "GET", kProjects).status, 200);
}

TEST(Tenants, AnAdminActsForATenant) {
  TestHouse house;
  const Keys keys(house);
  auto request = TestHouse::request("POST", "/v1/completions", io::dump_json(kSay));
  request.headers.set("Authorization", "Bearer " + keys.admin);
  request.headers.set("OpenAI-Project", "ann");
  EXPECT_EQ(house.client.send(request).status, 200);
  const Json usage =
      answer(house, keys.admin, "GET", "/v1/organization/usage/completions?group_by=project_id");
  EXPECT_EQ(usage["data"][0]["results"][0]["project_id"], "ann");
  request.headers.set("OpenAI-Project", "nobody");
  EXPECT_EQ(house.client.send(request).status, 404);
}

TEST(Tenants, LimitsAreToldAndKept) {
  TestHouse house;
  const Keys keys(house, {{"name", "ann"}, {"max_requests_per_1_minute", 2}});
  const HttpResponse first = send(house, keys.ann, "POST", "/v1/completions", kSay);
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(*first.headers.find("x-ratelimit-limit-requests"), "2");
  EXPECT_EQ(*first.headers.find("x-ratelimit-remaining-requests"), "1");
  EXPECT_EQ(send(house, keys.ann, "POST", "/v1/completions", kSay).status, 200);
  const HttpResponse refused = send(house, keys.ann, "POST", "/v1/completions", kSay);
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(*refused.headers.find("retry-after"), "30");
  EXPECT_NE(refused.headers.find("retry-after-ms"), nullptr);
  EXPECT_NE(refused.body.find("requests_per_minute = 2"), std::string::npos) << refused.body;
  EXPECT_EQ(io::parse_json(refused.body, "")["error"]["code"], "rate_limit_exceeded");
  answer(house, keys.admin, "POST", std::string(kProjects) + "/ann/rate_limits/rl-all",
         {{"max_requests_per_1_minute", 0}, {"max_tokens_per_1_minute", 60}});
  const HttpResponse tokens = send(house, keys.ann, "POST", "/v1/completions", kSay);
  EXPECT_EQ(tokens.status, 200);
  EXPECT_EQ(*tokens.headers.find("x-ratelimit-limit-tokens"), "60");
  EXPECT_EQ(send(house, keys.ann, "POST", "/v1/completions",
                 {{"prompt", std::string(50, 'x')}, {"max_tokens", 5}})
                .status,
            429);
  const auto missing = send(house, keys.admin, "POST",
                            std::string(kProjects) + "/ann/rate_limits/rl-other", Json::object());
  EXPECT_EQ(missing.status, 404);
}

TEST(Tenants, UsageIsCountedByTenantAndExported) {
  TempFolder folder;
  std::string admin, ann;
  {
    TestHouse house(kept_in(folder));
    const Keys keys(house);
    admin = keys.admin;
    ann = keys.ann;
    for (int i = 0; i < 2; ++i) send(house, ann, "POST", "/v1/completions", kSay);
  }
  TestHouse house(kept_in(folder));
  const Json page = answer(house, ann, "GET",
                           "/v1/organization/usage/completions?group_by[]=model&bucket_width=1m");
  EXPECT_EQ(page["object"], "page");
  const Json result = page["data"][0]["results"][0];
  EXPECT_EQ(result["num_model_requests"], 2);
  EXPECT_EQ(result["input_tokens"], 2 * 10) << "a begin mark and nine characters";
  EXPECT_EQ(result["output_tokens"], 2 * 6) << "five characters and an end mark";
  EXPECT_EQ(result["model"], "fake");
  EXPECT_EQ(result["project_id"], nullptr);
  EXPECT_EQ(result["ptu_minutes"], (2 * 10 + 3 * 2 * 6) / 1000.0) << "generated ones cost three";
  const HttpResponse csv = send(
      house, admin, "GET", "/v1/organization/usage/completions?format=csv&group_by=project_id");
  EXPECT_EQ(csv.status, 200);
  EXPECT_NE(csv.body.find("0,ann,,,,,2,20,0,12,0.056000\r\n"), std::string::npos) << csv.body;
  EXPECT_EQ(send(house, ann, "GET", "/v1/organization/usage/completions?group_by=moon").status,
            400);
}

TEST(Tenants, AnAnswerTellsItsWork) {
  TestHouse house;
  const HttpResponse plain = send(house, "", "POST", "/v1/completions", kSay);
  EXPECT_EQ(*plain.headers.find("x-hearth-ptu-minutes"), "0.028000");
  Json two = kSay;
  two["n"] = 2;
  const HttpResponse both = send(house, "", "POST", "/v1/completions", two);
  EXPECT_EQ(*both.headers.find("x-hearth-ptu-minutes"), "0.046000") << "one prompt, two answers";
}

// A database of the first version has no column for work.
TEST(Tenants, BooksOfAnOlderProgramAreReadOn) {
  TempFolder folder;
  {
    io::Database old(folder.path() + "/hearth.db");
    io::migrate(old, schema_steps().first(1), "hearth.db");
    old.run("INSERT INTO usage VALUES (60, 'ann', '', 'fake', '', 'online', 3, 30, 0, 12)");
  }
  State state(folder.path());
  UsageStore usage(state);
  usage.add(60, {"ann", "", "fake", "", "online"}, {1, 10, 0, 4, 22'000});
  const auto rows = usage.query({});
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].counts.requests, 4);
  EXPECT_EQ(rows[0].counts.ptu_minutes(), 0.022);
}

TEST(Tenants, AClientThatLeavesIsCharged) {
  TestHouse house;
  auto request = TestHouse::request("POST", "/v1/completions",
                                    R"({"prompt":"say hello","max_tokens":20,"stream":true})");
  const auto exchange = house.client.open(request);
  for (int i = 0; i < 3; ++i) house.turn();
  exchange->close(transport::CloseReason::kPeerClosed);
  while (house.turn()) {
  }
  const Json page = answer(house, "", "GET", "/v1/organization/usage/completions");
  EXPECT_EQ(page["data"][0]["results"][0]["num_model_requests"], 1);
  EXPECT_EQ(page["data"][0]["results"][0]["input_tokens"], 10);
}

TEST(Tenants, TheAuditLogSaysWhoDidWhat) {
  TestHouse house;
  const Keys keys(house);
  answer(house, keys.admin, "DELETE", std::string(kProjects) + "/ann/api_keys/" + keys.ann_id);
  const Json log = answer(house, keys.admin, "GET", "/v1/organization/audit_logs")["data"];
  ASSERT_EQ(log.size(), 4u);
  EXPECT_EQ(log[0]["type"], "api_key.deleted");
  EXPECT_EQ(log[0]["api_key.deleted"]["id"], keys.ann_id);
  EXPECT_EQ(log[3]["type"], "project.created");
  EXPECT_EQ(log[3]["actor"]["api_key"]["id"], "open");
  EXPECT_EQ(answer(house, keys.admin, "GET",
                   "/v1/organization/audit_logs?event_types[]=project.created")["data"]
                .size(),
            1u);
}

TEST(Tenants, ListsAreCutIntoPages) {
  TestHouse house;
  for (const char* name : {"a", "b", "c"}) answer(house, "", "POST", kProjects, {{"name", name}});
  const Json first = answer(house, "", "GET", std::string(kProjects) + "?limit=2");
  EXPECT_EQ(first["data"][0]["name"], "c");
  EXPECT_TRUE(first["has_more"].get<bool>());
  const Json rest = answer(
      house, "", "GET", std::string(kProjects) + "?after=" + first["last_id"].get<std::string>());
  EXPECT_EQ(rest["data"].size(), 2u) << "a, and the default one";
  EXPECT_FALSE(rest["has_more"].get<bool>());
  EXPECT_EQ(send(house, "", "POST", kProjects, {{"name", "a"}}).status, 400) << "taken";
  EXPECT_EQ(send(house, "", "POST", kProjects, {{"name", "a b"}}).status, 400);
  EXPECT_EQ(send(house, "", "GET", std::string(kProjects) + "?after=nothing").status, 400);
}

}  // namespace
}  // namespace hearth::serve
