// Adapters over the API: they come and go while requests run, belong to tenants, and nobody learns
// of another's.
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

#include "io/json.h"
#include "serve/api_error.h"
#include "serve/test_house.h"

namespace hearth::serve {
namespace {

namespace fs = std::filesystem;
using io::Json;
using transport::HttpResponse;

// A --lora-dir with some adapters in it.
class LoraDir {
 public:
  LoraDir() : path_(fs::temp_directory_path() / ("hearth_lora_" + std::to_string(::getpid()))) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~LoraDir() { fs::remove_all(path_); }

  void put(const std::string& name, const std::string& weights = "w") const {
    fs::create_directories(path_ / name);
    std::ofstream(path_ / name / "adapter_config.json") << "{}";
    std::ofstream(path_ / name / "adapter_model.safetensors") << weights;
  }
  void remove(const std::string& name) const { fs::remove_all(path_ / name); }
  std::string path() const { return path_.string(); }

 private:
  fs::path path_;
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
  while (house.turn()) {
  }
  EXPECT_TRUE(house.adapters.known().empty());
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
