#include "serve/client/top_screen.h"

#include <gmock/gmock.h>
#include <sstream>

namespace hearth::serve {
namespace {

using io::Json;
using testing::HasSubstr;
using testing::Not;

Json quiet_status() {
  const Json none = {{"p50", nullptr}, {"p99", nullptr}};
  return {{"version", "1.2.3"},
          {"model", "ember"},
          {"ready", true},
          {"healthy", true},
          {"started_at", 1'000},
          {"kv_cache", {{"blocks", 200}, {"blocks_used", 50}}},
          {"adapters", {{"memory", 0}, {"loading", 0}, {"mapped", 0}, {"stored", 0}}},
          {"rejections", Json::object()},
          {"live",
           {{"running", 0},
            {"waiting", 0},
            {"prompt_tokens_per_second", 0.0},
            {"generation_tokens_per_second", 0.0},
            {"ttft_seconds", none},
            {"itl_seconds", none}}}};
}

Json deployment(const char* name, const char* service_class, double ptu) {
  return {{"name", name},
          {"tenant", "a tenant with quite a name"},
          {"service_class", service_class},
          {"ptu", ptu},
          {"status",
           {{"utilization", 0.375},
            {"used_ptu", 1.875},
            {"prompt_tokens_per_minute", 1'234'567.0},
            {"generated_tokens_per_minute", 98'765.0},
            {"time_per_token_ms", 4.25},
            {"running", 3},
            {"waiting", 12},
            {"refused", 7}}}};
}

TopAnswers busy() {
  TopAnswers answers;
  answers.now_s = 4'700;
  answers.status = quiet_status();
  answers.status["live"]["itl_seconds"] = {{"p50", 0.0042}, {"p99", 0.0131}};
  answers.status["adapters"] = {{"memory", 5}, {"loading", 1}, {"mapped", 12}, {"stored", 980}};
  answers.status["rejections"] = {{"queue_full", 12}};
  answers.deployments = {{"capacity", {{"ptu", 40.0}, {"sold", 12.5}, {"source", "calibrated"}}},
                         {"data",
                          {deployment("größte-Unterhaltung-von-allen", "provisioned", 5),
                           deployment("x", "batch", 0)}}};
  answers.jobs = {{"data",
                   {{{"id", "ftjob-1"},
                     {"status", "running"},
                     {"fine_tuned_model", nullptr},
                     {"progress", {{"step", 30}, {"total_steps", 120}}}}}}};
  answers.batches = {{"data",
                      {{{"id", "batch_1"},
                        {"status", "in_progress"},
                        {"request_counts", {{"total", 100}, {"completed", 40}, {"failed", 2}}}}}}};
  return answers;
}

int widest(const std::string& text) {
  int most = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    int columns = 0;
    for (const char c : line) columns += (c & 0xc0) != 0x80;
    most = std::max(most, columns);
  }
  return most;
}

TEST(TopScreen, TellsWhatGoesOn) {
  const std::string screen = top_screen(busy(), 120, 50);
  EXPECT_THAT(screen, HasSubstr("hearth 1.2.3   ember   ready   up 61m40s"));
  EXPECT_THAT(screen, HasSubstr("between tokens  4.2 ms (p99 13.1)"));
  EXPECT_THAT(screen, HasSubstr("█████··············· 25.0 %"));
  EXPECT_THAT(screen, HasSubstr("5 in memory, 1 loading, 12 mapped, 980 stored"));
  EXPECT_THAT(screen, HasSubstr("12.5 of 40 sold (calibrated)"));
  EXPECT_THAT(screen, HasSubstr("queue_full 12"));
  EXPECT_THAT(screen, HasSubstr("größte-Unterhaltung-von-allen"));
  EXPECT_THAT(screen, HasSubstr("1.23M"));
  EXPECT_THAT(screen, HasSubstr("30 of 120"));
  EXPECT_THAT(screen, HasSubstr("42 of 100, 2 failed"));
}

TEST(TopScreen, FitsTheTerminal) {
  for (const int columns : {70, 80, 132}) {
    EXPECT_LE(widest(top_screen(busy(), columns, 50)), columns);
  }
  const std::string low = top_screen(busy(), 80, 6);
  EXPECT_EQ(std::count(low.begin(), low.end(), '\n'), 5);
}

TEST(TopScreen, LeavesOutWhatThereIsNot) {
  TopAnswers answers;
  answers.now_s = 1'005;
  answers.status = quiet_status();
  const std::string screen = top_screen(answers, 80, 50);
  EXPECT_THAT(screen, HasSubstr("between tokens  - ms (p99 -)"));
  EXPECT_THAT(screen, Not(HasSubstr("deployment")));
  EXPECT_THAT(screen, Not(HasSubstr("adapters")));
  EXPECT_THAT(screen, Not(HasSubstr("refused")));
  EXPECT_THAT(screen, Not(HasSubstr("batch")));
}

TEST(TopScreen, OldJobsDoNotFillIt) {
  TopAnswers answers = busy();
  Json& list = answers.jobs["data"];
  for (int i = 2; i < 40; ++i) {
    Json job = list[0];
    job["id"] = "ftjob-" + std::to_string(i);
    job["status"] = "succeeded";
    list.push_back(job);
  }
  const std::string screen = top_screen(answers, 80, 50);
  EXPECT_THAT(screen, HasSubstr("ftjob-1 "));
  EXPECT_THAT(screen, HasSubstr("ftjob-4 "));
  EXPECT_THAT(screen, Not(HasSubstr("ftjob-5 ")));
}

}  // namespace
}  // namespace hearth::serve
