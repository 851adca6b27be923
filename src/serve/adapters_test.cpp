// Adapters over the API: they come and go while requests run, belong to tenants, and nobody learns
// of another's.
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

#include "io/json.h"
#include "serve/api_error.h"
#include "serve/temp_folder.h"
#include "serve/test_house.h"

namespace hearth::serve {
namespace {

namespace fs = std::filesystem;
using io::Json;
using transport::HttpResponse;

// A --lora-dir with some adapters in it.
class LoraDir {
 public:
  void put(const std::string& name, const std::string& weights = "w") const {
    fs::create_directories(path_ / name);
    std::ofstream(path_ / name / "adapter_config.json") << "{}";
    std::ofstream(path_ / name / "adapter_model.safetensors") << weights;
  }
  void remove(const std::string& name) const { fs::remove_all(path_ / name); }
  std::string path() const { return path_.string(); }

 private:
  const TempFolder folder_;
  const fs::path path_ = folder_.path();
};

ServerOptions options_for(const LoraDir& dir) {
  ServerOptions options;
  options.adapters.folder = dir.path();
  return options;
}

ServerOptions with_tenants(ServerOptions options) {
  options.api_keys = {hash_api_key("ann", "key-ann"), hash_api_key("bob", "key-bob")};
  return options;
}

transport::ClientRequest as(const std::string& tenant, transport::ClientRequest request) {
  request.headers.set("Authorization", "Bearer key-" + tenant);
  return request;
}

std::string say(const std::string& model, const std::string& text) {
  return R"({"model":")" + model + R"(","prompt":"say )" + text + R"(","max_tokens":50})";
}

std::string text_of(const HttpResponse& response) {
  return response.status == 200 ? json_of(response)["choices"][0]["text"].get<std::string>()
                                : response.body;
}

HttpResponse load(TestHouse& house, const std::string& name, const std::string& path) {
  return house.post("/v1/load_lora_adapter",
                    R"({"lora_name":")" + name + R"(","lora_path":")" + path + "\"}");
}

HttpResponse unload(TestHouse& house, const std::string& name) {
  return house.post("/v1/unload_lora_adapter", R"({"lora_name":")" + name + "\"}");
}

TEST(Adapters, AreLoadedServedListedAndUnloaded) {
  const LoraDir dir;
  dir.put("nested/sql");
  TestHouse house(options_for(dir));
  EXPECT_EQ(house.post("/v1/completions", say("sql", "hi")).status, 404);
  const HttpResponse loaded = load(house, "sql", "nested/sql");
  EXPECT_EQ(loaded.status, 200) << loaded.body;
  EXPECT_EQ(loaded.body, "Success: LoRA adapter 'sql' added successfully.");
  const HttpResponse answer = house.post("/v1/completions", say("sql", "hi"));
  EXPECT_EQ(text_of(answer), "[1] hi");
  EXPECT_EQ(json_of(answer)["model"], "sql");
  EXPECT_EQ(text_of(house.post("/v1/completions", say("fake", "hi"))), "hi");
  const Json models = json_of(house.get("/v1/models"))["data"];
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(models[1]["id"], "sql");
  EXPECT_EQ(models[1]["parent"], "fake");
  EXPECT_EQ(json_of(house.get("/v1/models/sql"))["lora"]["rank"], 8);
  EXPECT_EQ(unload(house, "sql").status, 200);
  EXPECT_EQ(house.post("/v1/completions", say("sql", "hi")).status, 404);
  EXPECT_EQ(unload(house, "sql").status, 404);
  const Json log = json_of(house.get("/v1/organization/audit_logs"))["data"];
  ASSERT_EQ(log.size(), 2u);
  EXPECT_EQ(log[0]["type"], "adapter.deleted");
  EXPECT_EQ(log[1]["adapter.created"]["id"], "sql");
  while (house.turn()) {
  }
  EXPECT_TRUE(house.adapters.known().empty());
}

ServerOptions kept_for(const LoraDir& dir, const TempFolder& data) {
  ServerOptions options = options_for(dir);
  options.data_dir = data.path();
  // The ids of one life are not those of the next.
  static uint64_t seed = 0;
  options.id_seed = ++seed;
  return options;
}

TEST(Adapters, WhatWasLoadedIsServedAfterARestart) {
  const LoraDir dir;
  const TempFolder data;
  dir.put("nested/sql");
  dir.put("nested/gone");
  dir.put("nested/short");
  {
    TestHouse house(kept_for(dir, data));
    for (const char* name : {"sql", "gone", "short"}) {
      EXPECT_EQ(load(house, name, std::string("nested/") + name).status, 200);
    }
    EXPECT_EQ(unload(house, "short").status, 200);
    EXPECT_EQ(json_of(house.get("/v1/adapters"))["data"][0]["source"], "folder");
  }
  dir.remove("nested/gone");
  {
    TestHouse house(kept_for(dir, data));
    EXPECT_EQ(text_of(house.post("/v1/completions", say("sql", "hi"))), "[1] hi");
    EXPECT_EQ(house.post("/v1/completions", say("gone", "hi")).status, 404);
    EXPECT_EQ(house.post("/v1/completions", say("short", "hi")).status, 404);
  }
  dir.put("nested/gone");
  {
    TestHouse house(kept_for(dir, data));
    EXPECT_EQ(house.post("/v1/completions", say("gone", "hi")).status, 200) << "it has come back";
  }
  dir.remove("nested/gone");
  {
    TestHouse house(kept_for(dir, data));
    EXPECT_EQ(unload(house, "gone").status, 200) << "not served, but remembered";
    EXPECT_EQ(unload(house, "gone").status, 404);
    EXPECT_EQ(house.client.send(house.request("DELETE", "/v1/adapters/sql")).status, 200);
    EXPECT_TRUE(fs::exists(dir.path() + "/nested/sql")) << "the files are not the server's";
  }
  dir.put("nested/gone");
  TestHouse house(kept_for(dir, data));
  EXPECT_EQ(json_of(house.get("/v1/models"))["data"].size(), 1u);
}

TEST(Adapters, ARestartKeepsTheirTenantAndTheirFolder) {
  const LoraDir dir, other;
  const TempFolder data;
  dir.put("@ann/deep/secret");
  const auto load_as_ann = [](TestHouse& house, const char* path) {
    return house.client
        .send(as("ann",
                 house.request("POST", "/v1/load_lora_adapter",
                               fmt::format(R"({{"lora_name":"mine","lora_path":"{}"}})", path))))
        .status;
  };
  const auto ask = [](TestHouse& house, const std::string& tenant) {
    return house.client
        .send(as(tenant, house.request("POST", "/v1/completions", say("mine", "hi"))))
        .status;
  };
  {
    TestHouse house(with_tenants(kept_for(dir, data)));
    EXPECT_EQ(load_as_ann(house, "@ann/deep/secret"), 200);
  }
  {
    TestHouse house(with_tenants(kept_for(dir, data)));
    EXPECT_EQ(ask(house, "ann"), 200);
    EXPECT_EQ(ask(house, "bob"), 404);
  }
  other.put("@ann/new");
  TestHouse house(with_tenants(kept_for(other, data)));
  EXPECT_EQ(ask(house, "ann"), 404) << "outside of the --lora-dir of today";
  EXPECT_EQ(load_as_ann(house, "@ann/new"), 200) << "in its place";
  EXPECT_EQ(ask(house, "ann"), 200);
}

TEST(Adapters, WhatCannotBeLoadedIsSaid) {
  const LoraDir dir;
  dir.put("nested/sql");
  TestHouse house(options_for(dir));
  EXPECT_EQ(load(house, "sql", "nothing/here").status, 404);
  EXPECT_EQ(load(house, "sql", "../../etc").status, 404);
  EXPECT_EQ(load(house, "sql", "/etc").status, 404);
  EXPECT_EQ(load(house, "sql", "nested").status, 400) << "no adapter in it";
  EXPECT_EQ(load(house, "a b", "nested/sql").status, 400);
  EXPECT_EQ(load(house, "fake", "nested/sql").status, 400) << "the name of the base";
  EXPECT_EQ(load(house, "sql", "nested/sql").status, 200);
  EXPECT_EQ(load(house, "sql", "nested/sql").status, 400) << "twice";
  TestHouse closed;
  EXPECT_EQ(load(closed, "sql", "x").status, 403);
}

// Between the choice of the adapter and the engine it may be unloaded: as if it had come later.
TEST(Adapters, OneThatIsUnloadedMeanwhileIsNotFound) {
  const ApiError error = to_api_error({engine::AdmissionCode::kNoAdapter, "adapter 7"}, 1);
  EXPECT_EQ(error.status, 404);
  EXPECT_EQ(error.param, "model");
  EXPECT_EQ(error.code, "model_not_found");
}

TEST(Adapters, RequestsFinishWhenTheirAdapterIsUnloaded) {
  const LoraDir dir;
  dir.put("sql");
  TestHouse house(options_for(dir));
  const auto running =
      house.client.open(house.request("POST", "/v1/completions", say("sql", "something longer")));
  for (int i = 0; i < 4; ++i) house.turn();
  EXPECT_EQ(unload(house, "sql").status, 200);
  EXPECT_EQ(house.post("/v1/completions", say("sql", "hi")).status, 404);
  while (house.turn()) {
  }
  ASSERT_TRUE(running->finished());
  EXPECT_EQ(text_of(running->response()), "[1] something longer");
}

TEST(Adapters, OthersAnswerWhileOneIsLoaded) {
  const LoraDir dir;
  dir.put("sql");
  TestHouse house(options_for(dir));
  house.adapters.hold();
  const auto waiting =
      house.client.open(house.request("POST", "/v1/completions", say("sql", "hi")));
  while (house.turn()) {
  }
  EXPECT_FALSE(waiting->finished());
  EXPECT_EQ(text_of(house.post("/v1/completions", say("fake", "hello"))), "hello");
  EXPECT_NE(
      house.get("/metrics")
          .body.find("num_requests_waiting_by_reason{model_name=\"fake\",reason=\"adapter\"} 1\n"),
      std::string::npos);
  house.adapters.finish();
  while (house.turn()) {
  }
  EXPECT_EQ(text_of(waiting->response()), "[1] hi");
}

TEST(Adapters, AFailedLoadIsAnErrorAndTheNextOneMayWork) {
  const LoraDir dir;
  dir.put("sql");
  TestHouse house(options_for(dir));
  house.adapters.hold();
  const auto waiting =
      house.client.open(house.request("POST", "/v1/completions", say("sql", "hi")));
  while (house.turn()) {
  }
  house.adapters.finish("the file has changed");
  while (house.turn()) {
  }
  ASSERT_TRUE(waiting->finished());
  EXPECT_EQ(waiting->response().status, 500);
  EXPECT_NE(waiting->response().body.find("the file has changed"), std::string::npos);
  const auto again = house.client.open(house.request("POST", "/v1/completions", say("sql", "hi")));
  while (house.turn()) {
  }
  house.adapters.finish();
  while (house.turn()) {
  }
  EXPECT_EQ(text_of(again->response()), "[1] hi");
}

TEST(Adapters, BelongToTheirTenant) {
  const LoraDir dir;
  dir.put("@ann/secret");
  dir.put("shared");
  TestHouse house(with_tenants(options_for(dir)));
  const auto ask = [&](const std::string& tenant, const std::string& model) {
    return house.client.send(
        as(tenant, house.request("POST", "/v1/completions", say(model, "hi"))));
  };
  EXPECT_EQ(ask("ann", "secret").status, 200);
  EXPECT_EQ(ask("ann", "shared").status, 200);
  EXPECT_EQ(ask("bob", "shared").status, 200);
  const HttpResponse refused = ask("bob", "secret");
  EXPECT_EQ(refused.status, 404);
  // Nothing tells an adapter of somebody else from none at all.
  std::string none = ask("bob", "absent").body;
  none.replace(none.find("absent"), 6, "secret");
  EXPECT_EQ(refused.body, none);
  const auto models = json_of(house.client.send(as("bob", house.request("GET", "/v1/models"))));
  EXPECT_EQ(models["data"].size(), 2u);
  const auto load_as = [&](const std::string& tenant, const std::string& path) {
    return house.client.send(
        as(tenant, house.request("POST", "/v1/load_lora_adapter",
                                 R"({"lora_name":"mine","lora_path":")" + path + "\"}")));
  };
  EXPECT_EQ(load_as("bob", "@ann/secret").status, 404);
  EXPECT_EQ(load_as("bob", "shared/../@ann/secret").status, 404);
  EXPECT_EQ(load_as("ann", "@ann/secret").status, 200);
  EXPECT_EQ(ask("bob", "mine").status, 404);
  EXPECT_EQ(house.client
                .send(as("bob", house.request("POST", "/v1/unload_lora_adapter",
                                              R"({"lora_name":"secret"})")))
                .status,
            404);
  EXPECT_EQ(ask("ann", "secret").status, 200);
}

TEST(Adapters, TheListSaysWhereEachIsAndAnAdminSeesAll) {
  const LoraDir dir;
  dir.put("@ann/secret");
  dir.put("shared");
  ServerOptions options = with_tenants(options_for(dir));
  options.admin_keys = {hash_api_key("admin", "key-admin")};
  TestHouse house(options);
  const auto list = [&](const std::string& who, const std::string& query) {
    return json_of(
        house.client.send(as(who, house.request("GET", "/v1/adapters" + query))))["data"];
  };
  EXPECT_EQ(list("ann", "").size(), 2u);
  EXPECT_EQ(list("ann", "")[0]["tier"], "stored");
  EXPECT_EQ(list("ann", "")[0]["parent"], "fake");
  house.client.send(as("ann", house.request("POST", "/v1/completions", say("secret", "hi"))));
  EXPECT_EQ(list("ann", "")[0]["tier"], "memory");
  EXPECT_EQ(list("ann", "")[1]["tier"], "stored");
  EXPECT_EQ(list("bob", "?project_id=*").size(), 1u) << "no admin";
  EXPECT_EQ(list("admin", "").size(), 1u);
  EXPECT_EQ(list("admin", "?project_id=*").size(), 2u);
  EXPECT_EQ(list("admin", "?project_id=ann").size(), 2u);
}

// Memory holds four of six.
TEST(Adapters, MetricsTellWhereTheyAreAndWhyTheyLeft) {
  const LoraDir dir;
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) dir.put(name);
  TestHouse house(options_for(dir));
  const auto expect = [&](const std::string& name, const std::string& label, int value) {
    const std::string labels = label.empty() ? "" : "," + label;
    const std::string line =
        fmt::format("hearth:{}{{model_name=\"fake\"{}}} {}\n", name, labels, value);
    const std::string text = house.get("/metrics").body;
    EXPECT_NE(text.find(line), std::string::npos) << line << text.substr(text.find(name), 300);
  };
  expect("lora_adapters", R"(tier="stored")", 6);
  for (const char* name : {"a", "b", "c", "d", "e", "f", "f"}) {
    EXPECT_EQ(house.post("/v1/completions", say(name, "hi")).status, 200);
  }
  expect("lora_adapters", R"(tier="memory")", 4);
  expect("lora_adapters", R"(tier="loading")", 0);
  expect("lora_adapters", R"(tier="stored")", 2);
  expect("lora_memory_usage_perc", "", 1);
  expect("lora_requests_total", R"(found="memory")", 1);
  expect("lora_requests_total", R"(found="elsewhere")", 6);
  expect("lora_loads_total", R"(result="ordered")", 6);
  expect("lora_load_time_seconds_count", "", 6);
  expect("lora_evictions_total", R"(reason="capacity")", 2);
  expect("lora_evictions_total", R"(reason="unload")", 0);
  EXPECT_EQ(unload(house, "f").status, 200);
  while (house.turn()) {
  }
  expect("lora_evictions_total", R"(reason="unload")", 1);
  expect("lora_adapters", R"(tier="memory")", 3);
}

TEST(Adapters, TheFolderIsWatched) {
  const LoraDir dir;
  dir.put("first");
  TestHouse house(options_for(dir));
  const auto look = [&] {
    house.service.tick();
    while (house.turn()) {
    }
  };
  const auto status = [&](const std::string& model) {
    return house.post("/v1/completions", say(model, "hi")).status;
  };
  EXPECT_EQ(status("first"), 200);
  dir.put("second");
  look();
  EXPECT_EQ(status("second"), 404) << "perhaps it is still being written";
  look();
  EXPECT_EQ(text_of(house.post("/v1/completions", say("second", "hi"))), "[2] hi");
  dir.put("second", "other weights");
  look();
  look();
  EXPECT_EQ(text_of(house.post("/v1/completions", say("second", "hi"))), "[3] hi");
  dir.remove("first");
  look();
  EXPECT_EQ(status("first"), 404);
}

// The attack on a shared prefix cache: ask for a text, and see from the time of the first token
// whether it is known already, because somebody else has sent it.
TEST(Adapters, TimeDoesNotTellWhatOthersHaveAsked) {
  const LoraDir dir;
  dir.put("tuned");
  ModelHandle model = fake_model();
  model.engine.max_num_batched_tokens = 128;
  TestHouse house(with_tenants(options_for(dir)), std::move(model));
  const std::string secret(1500, 'x');
  const auto time_of = [&](const std::string& tenant, const std::string& name) {
    const Nanos start = house.clock.now();
    const std::string body =
        R"({"model":")" + name + R"(","max_tokens":1,"prompt":"our secret )" + secret + "\"}";
    const HttpResponse response =
        house.client.send(as(tenant, house.request("POST", "/v1/completions", body)));
    EXPECT_EQ(response.status, 200) << response.body;
    return house.clock.now() - start;
  };
  time_of("ann", "tuned");  // loads the adapter
  EXPECT_LT(time_of("ann", "tuned"), 5 * kMillisecond) << "there is something to be seen at all";
  const Nanos unknown = time_of("ann", "fake");
  EXPECT_GT(unknown, 10 * kMillisecond) << "another adapter's is not known";
  EXPECT_LT(time_of("ann", "fake"), 5 * kMillisecond);
  EXPECT_EQ(time_of("bob", "fake"), unknown);
  EXPECT_EQ(time_of("bob", "tuned"), unknown);
}

}  // namespace
}  // namespace hearth::serve
