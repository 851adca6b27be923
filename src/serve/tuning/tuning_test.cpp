// Tuning jobs over the API with a trainer that does what the test says: from files to a model that
// answers, and everything that can come between. And adapters that are uploaded.
#include <algorithm>
#include <fstream>
#include <gtest/gtest.h>

#include "serve/service_client.h"
#include "serve/temp_folder.h"
#include "serve/tuning/trainer.h"

namespace hearth::serve {
namespace {

namespace fs = std::filesystem;
using io::Json;
using State = TrainingReport::State;

class FakeTrainer final : public Trainer {
 public:
  void start(const TrainingOrder& given) override {
    order = given;
    report = {State::kRunning, {}};
    ++starts;
  }
  TrainingReport look() override {
    const TrainingReport told = report;
    if (report.state != State::kRunning) report = {};
    return told;
  }
  void stop() override {
    ++stops;
    if (report.state == State::kRunning) report = {State::kStopped, {}};
  }

  void log(const std::string& line) const {
    std::ofstream(order.folder + "/log.jsonl", std::ios::app) << line << "\n";
  }
  void step(int64_t step, double loss) const {
    log(fmt::format(R"({{"step": {}, "loss": {}, "tokens": {}}})", step, loss, 10 * step));
  }
  void succeed() {
    std::ofstream(order.folder + "/adapter_config.json") << "{}";
    std::ofstream(order.folder + "/adapter_model.safetensors") << "w";
    report = {State::kDone, {}};
  }

  TrainingOrder order;
  TrainingReport report;
  int starts = 0, stops = 0;
};

struct TuningHouse {
  TuningHouse(const TempFolder& folder, FakeTrainer* trainer)
      : house(options_in(folder, trainer)) {}

  static ServerOptions options_in(const TempFolder& folder, FakeTrainer* trainer) {
    ServerOptions options;
    options.data_dir = folder.path();
    options.trainer = trainer;
    options.api_keys = {hash_api_key("ann", "key-ann"), hash_api_key("bob", "key-bob")};
    static uint64_t seed = 1000;
    options.id_seed = ++seed;
    return options;
  }
  void tick() {
    house.service.tick();
    while (house.turn()) {
    }
  }
  Json job(const std::string& id) { return ann.get("/v1/fine_tuning/jobs/" + id); }
  std::vector<std::string> events(const std::string& id) {
    std::vector<std::string> out;
    const Json list = ann.get("/v1/fine_tuning/jobs/" + id + "/events?order=asc&limit=100");
    for (const Json& event : list["data"]) out.push_back(event["message"].get<std::string>());
    return out;
  }
  Json create(const Json& change, const std::string& lines = kChats) {
    Json body = {{"model", "fake"}, {"training_file", ann.upload("fine-tune", lines)}};
    body.update(change);
    return ann.post("/v1/fine_tuning/jobs", body);
  }
  std::string begin(const Json& change = Json::object(), const std::string& lines = kChats) {
    return create(change, lines)["id"].get<std::string>();
  }

  static inline const std::string kChats =
      R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"ahoy"}]})"
      "\n"
      R"({"prompt":"a","completion":"b"})"
      "\n";

  TestHouse house;
  ServiceClient ann{house, "key-ann"}, bob{house, "key-bob"};
};

TEST(Tuning, FromFilesToAModelThatAnswers) {
  TempFolder folder;
  FakeTrainer trainer;
  std::string model;
  {
    TuningHouse t(folder, &trainer);
    const Json created = t.create({{"suffix", "pirate"},
                                   {"seed", 7},
                                   {"metadata", {{"a", "b"}}},
                                   {"hyperparameters", {{"n_epochs", 2}, {"batch_size", 1}}}});
    const auto id = created["id"].get<std::string>();
    EXPECT_EQ(created["status"], "validating_files");
    EXPECT_EQ(created["hyperparameters"]["learning_rate_multiplier"], "auto");
    t.tick();
    Json job = t.job(id);
    EXPECT_EQ(job["status"], "running");
    EXPECT_EQ(job["object"], "fine_tuning.job");
    EXPECT_EQ(job["hyperparameters"]["n_epochs"], 2);
    EXPECT_EQ(job["method"]["type"], "supervised");
    EXPECT_EQ(job["progress"]["total_steps"], 4);
    EXPECT_EQ(trainer.order.method, "sft");
    EXPECT_EQ(trainer.order.batch_size, 1);
    EXPECT_EQ(trainer.order.seed, 7);
    EXPECT_NE(t.bob.send("GET", "/v1/fine_tuning/jobs/" + id).status, 200);
    for (int step = 1; step <= 4; ++step) trainer.step(step, 2.0 / step);
    trainer.log(R"({"step": 4, "validation_loss": 0.75})");
    trainer.succeed();
    t.tick();
    job = t.job(id);
    EXPECT_EQ(job["status"], "succeeded") << io::dump_json(job);
    EXPECT_EQ(job["trained_tokens"], 40);
    model = job["fine_tuned_model"].get<std::string>();
    EXPECT_TRUE(model.starts_with("ft:fake:ann:pirate:")) << model;
    EXPECT_EQ(t.events(id).back(), "The job has successfully completed");
    const std::string table = t.ann.content(job["result_files"][0].get<std::string>());
    EXPECT_NE(table.find("4,0.5,,0.75,"), std::string::npos) << table;
    const Json checkpoints = t.ann.get("/v1/fine_tuning/jobs/" + id + "/checkpoints")["data"];
    EXPECT_EQ(checkpoints[0]["fine_tuned_model_checkpoint"], model);
    EXPECT_EQ(checkpoints[0]["metrics"]["valid_loss"], 0.75);
    EXPECT_EQ(t.ann.get("/v1/fine_tuning/jobs?metadata[a]=b")["data"].size(), 1u);
    EXPECT_EQ(t.ann.get("/v1/fine_tuning/jobs?metadata[a]=c")["data"].size(), 0u);
  }
  TuningHouse t(folder, &trainer);
  const Json say = {{"model", model}, {"prompt", "say hi"}, {"max_tokens", 20}};
  EXPECT_EQ(t.ann.post("/v1/completions", say)["choices"][0]["text"], "[1] hi");
  EXPECT_EQ(t.bob.send("POST", "/v1/completions", say).status, 404);
  EXPECT_EQ(t.ann.get("/v1/models")["data"][1]["id"], model);
  EXPECT_EQ(t.bob.get("/v1/models")["data"].size(), 1u);
  EXPECT_EQ(t.bob.send("DELETE", "/v1/models/" + model).status, 404);
  EXPECT_EQ(t.ann.send("DELETE", "/v1/models/" + model).status, 200);
  EXPECT_EQ(t.ann.send("POST", "/v1/completions", say).status, 404);
}

TEST(Tuning, LinesAtFaultAreNamed) {
  TempFolder folder;
  FakeTrainer trainer;
  TuningHouse t(folder, &trainer);
  const std::pair<std::string, const char*> cases[] = {
      {TuningHouse::kChats + "nonsense\n", "line 3"},
      {R"({"messages":[{"role":"user","content":"x"}]})", "assistant"},
      {R"({"messages":[{"content":"x"}]})", "messages[0].role"},
      {"\n", "no examples"}};
  for (const auto& [lines, expected] : cases) {
    const std::string id = t.begin(Json::object(), lines);
    t.tick();
    const Json job = t.job(id);
    EXPECT_EQ(job["status"], "failed");
    EXPECT_EQ(job["error"]["code"], "invalid_training_file");
    EXPECT_EQ(job["error"]["param"], "training_file");
    const auto text = job["error"]["message"].get<std::string>();
    EXPECT_NE(text.find(expected), std::string::npos) << text;
  }
  const std::string id = t.begin({{"method", {{"type", "dpo"}}}});
  t.tick();
  EXPECT_EQ(t.job(id)["status"], "failed") << "chats are no preferences";
  EXPECT_EQ(trainer.starts, 0);
}

TEST(Tuning, Preferences) {
  TempFolder folder;
  FakeTrainer trainer;
  TuningHouse t(folder, &trainer);
  t.begin({{"method", {{"type", "dpo"}, {"dpo", {{"hyperparameters", {{"beta", 0.2}}}}}}}},
          R"({"input":{"messages":[{"role":"user","content":"x"}]},)"
          R"("preferred_output":[{"role":"assistant","content":"a"}],)"
          R"("non_preferred_output":[{"role":"assistant","content":"b"}]})");
  t.tick();
  EXPECT_EQ(trainer.starts, 1);
  EXPECT_EQ(trainer.order.method, "dpo");
  EXPECT_EQ(trainer.order.beta, 0.2);
}

TEST(Tuning, WhatCannotBeBegunIsSaid) {
  TempFolder folder;
  FakeTrainer trainer;
  TuningHouse t(folder, &trainer);
  const std::string file = t.ann.upload("fine-tune", TuningHouse::kChats);
  const auto status = [&](const Json& change) {
    Json body = {{"model", "fake"}, {"training_file", file}};
    body.update(change);
    return t.ann.send("POST", "/v1/fine_tuning/jobs", body).status;
  };
  EXPECT_EQ(status({{"model", "gpt-9"}}), 404);
  EXPECT_EQ(status({{"training_file", "file-none"}}), 404);
  EXPECT_EQ(status({{"training_file", t.ann.upload("batch", "x")}}), 400);
  EXPECT_EQ(status({{"suffix", "a b"}}), 400);
  EXPECT_EQ(status({{"hyperparameters", {{"n_epochs", -1}}}}), 400);
  EXPECT_EQ(status({{"method", {{"type", "magic"}}}}), 400);
  TempFolder other;
  TuningHouse none(other, nullptr);
  EXPECT_EQ(
      none.ann.send("POST", "/v1/fine_tuning/jobs", {{"model", "fake"}, {"training_file", "x"}})
          .status,
      400);
}

TEST(Tuning, PauseResumeAndCancel) {
  TempFolder folder;
  FakeTrainer trainer;
  TuningHouse t(folder, &trainer);
  const std::string id = t.begin();
  const std::string second = t.begin();
  t.tick();
  const std::string path = "/v1/fine_tuning/jobs/" + id;
  EXPECT_EQ(t.job(second)["status"], "queued") << "one at a time";
  EXPECT_EQ(t.ann.post(path + "/pause")["status"], "paused");
  t.tick();
  t.tick();
  EXPECT_EQ(t.job(second)["status"], "running");
  EXPECT_EQ(t.ann.send("POST", path + "/pause").status, 409);
  EXPECT_EQ(t.ann.post(path + "/resume")["status"], "queued");
  EXPECT_EQ(t.ann.post("/v1/fine_tuning/jobs/" + second + "/cancel")["status"], "cancelled");
  t.tick();
  t.tick();
  EXPECT_EQ(t.job(id)["status"], "running");
  EXPECT_EQ(trainer.starts, 3);
  EXPECT_FALSE(fs::exists(folder.path() + "/tuning/" + second)) << "nothing is kept of it";
  EXPECT_EQ(t.ann.send("POST", "/v1/fine_tuning/jobs/" + second + "/resume").status, 409);
}

TEST(Tuning, AServerThatWasKilledGoesOn) {
  TempFolder folder;
  std::string id;
  FakeTrainer first;
  {
    TuningHouse t(folder, &first);
    id = t.begin();
    t.tick();
    first.step(1, 2);
    t.tick();
  }
  FakeTrainer trainer;
  TuningHouse t(folder, &trainer);
  t.tick();
  EXPECT_EQ(t.job(id)["status"], "running");
  EXPECT_EQ(trainer.order.folder, first.order.folder);
  trainer.step(1, 2);  // told before
  trainer.step(2, 1);
  t.tick();
  const auto events = t.events(id);
  const auto count = [&](const std::string& text) {
    return std::count_if(events.begin(), events.end(), [&](const std::string& event) {
      return event.find(text) != std::string::npos;
    });
  };
  EXPECT_EQ(count("Step 1/"), 1);
  EXPECT_EQ(count("Step 2/"), 1);
  EXPECT_EQ(count("restarted"), 1);
}

TEST(Tuning, AProcessThatEndsIsBegunAgainAFewTimes) {
  TempFolder folder;
  FakeTrainer trainer;
  TuningHouse t(folder, &trainer);
  const std::string id = t.begin();
  for (int i = 0; i < 20; ++i) {
    t.tick();
    if (trainer.report.state == State::kRunning) trainer.report = {State::kStopped, {}};
  }
  EXPECT_EQ(t.job(id)["status"], "failed");
  EXPECT_EQ(trainer.starts, 6);
  const std::string other = t.begin();
  t.tick();
  trainer.report = {State::kFailed, "model.safetensors: it is no model"};
  t.tick();
  EXPECT_EQ(t.job(other)["error"]["message"], "model.safetensors: it is no model");
}

TEST(Adapters, AreUploadedKeptAndDeleted) {
  TempFolder folder;
  {
    TuningHouse t(folder, nullptr);
    const std::vector<FormPart> form = {
        {"name", "sql", ""}, {"config", "{}", "c"}, {"weights", "w", "w"}};
    EXPECT_EQ(t.ann.form("/v1/adapters", form).status, 200);
    EXPECT_EQ(t.ann.form("/v1/adapters", form).status, 409) << "twice";
    EXPECT_EQ(t.bob.form("/v1/adapters", form).status, 200) << "each its own";
    EXPECT_EQ(t.ann.form("/v1/adapters", {{"name", "x", ""}, {"config", "{}", "c"}}).status, 400);
    EXPECT_EQ(t.ann.form("/v1/adapters", {{"name", "x", ""}, {"other", "{}", "c"}}).status, 400);
    EXPECT_EQ(t.ann
                  .form("/v1/adapters",
                        {{"name", "a b", ""}, {"config", "{}", "c"}, {"weights", "w", "w"}})
                  .status,
              400);
    EXPECT_EQ(t.ann.get("/v1/adapters")["data"][0]["source"], "upload");
  }
  std::ofstream(folder.path() + "/adapters/nobody") << "x";
  TuningHouse t(folder, nullptr);
  EXPECT_FALSE(fs::exists(folder.path() + "/adapters/nobody"));
  EXPECT_EQ(t.ann.post("/v1/completions", {{"model", "sql"}, {"prompt", "say hi"}})["model"],
            "sql");
  EXPECT_EQ(t.ann.send("DELETE", "/v1/adapters/sql").status, 200);
  EXPECT_EQ(t.ann.send("DELETE", "/v1/adapters/sql").status, 404);
  EXPECT_EQ(t.bob.get("/v1/adapters")["data"].size(), 1u);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path() + "/adapters"), {}), 1);
}

}  // namespace
}  // namespace hearth::serve
