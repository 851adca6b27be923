#include "flywheel/calibration.h"

#include <filesystem>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "flywheel/ptu.h"
#include "io/file.h"
#include "io/json.h"

namespace hearth::flywheel {
namespace {

Calibration example() {
  Calibration calibration;
  calibration.key = {"abc123", "a processor, avx2", 4};
  calibration.model = "tiny";
  calibration.created_s = 1'700'000'000;
  calibration.step_time = 100 * kMillisecond;
  calibration.sequences = 64;
  calibration.costs = {.step_ps = 10'000'000'000,
                       .prompt_token_ps = 90'000'000,
                       .prompt_context_ps = 20'000,
                       .sequence_ps = 300'000'000,
                       .context_ps = 1'000'000};
  calibration.held_out = {0.02, 0.05, 0.08};
  calibration.samples = 80;
  return calibration;
}

TEST(Calibration, SurvivesItsFile) {
  const auto folder =
      std::filesystem::temp_directory_path() / fmt::format("hearth_calibration_{}", ::getpid());
  const Calibration before = example();
  EXPECT_FALSE(find_calibration(folder.string(), before.key));
  save_calibration(folder.string(), before);
  const auto after = find_calibration(folder.string(), before.key);
  ASSERT_TRUE(after);
  EXPECT_EQ(to_json(*after), to_json(before));
  CalibrationKey other = before.key;
  other.threads = 8;
  EXPECT_FALSE(find_calibration(folder.string(), other)) << "other threads, other costs";
  std::filesystem::remove_all(folder);
}

TEST(Calibration, ADamagedFileIsNamed) {
  const auto refuse = [](const io::Json& json, const char* field) {
    try {
      calibration_of(json, "file.json");
      FAIL() << json.dump();
    } catch (const Error& error) {
      EXPECT_NE(error.text.find(field), std::string::npos) << error.text;
      EXPECT_NE(error.where.find("file.json"), std::string::npos);
    }
  };
  io::Json json = to_json(example());
  json["costs"]["context_ps"] = -1;
  refuse(json, "context_ps");
  json["costs"].erase("context_ps");
  refuse(json, "context_ps");
  json = to_json(example());
  json["version"] = 9;
  refuse(json, "version");
  json = to_json(example());
  json["sequences"] = 0;
  refuse(json, "sequences");
}

TEST(Ptu, OneIsOnePromptOfReferenceLengthAMinute) {
  const PtuNeed need =
      ptu_need({.requests_per_minute = 1, .prompt_tokens = 1000}, example().prices(), 10 * kSecond);
  EXPECT_NEAR(need.steady, 1, 1e-3);
  EXPECT_DOUBLE_EQ(ptu_of(rate_of(2500)), 2.5);
}

TEST(Ptu, NeedsAddUp) {
  const auto prices = example().prices();
  const PtuWorkload chat{.requests_per_minute = 30, .prompt_tokens = 200, .generated_tokens = 1000};
  PtuWorkload twice = chat;
  twice.requests_per_minute *= 2;
  const double one = ptu_need(chat, prices, 10 * kSecond).steady;
  EXPECT_NEAR(ptu_need(twice, prices, 10 * kSecond).steady, 2 * one, 1e-9);
  EXPECT_GT(ptu_need(chat, prices, 10 * kSecond).random, one);
  PtuWorkload cached = chat;
  cached.cached_tokens = 200;
  EXPECT_EQ(ptu_need(cached, prices, 10 * kSecond).prompt, 0);
}

}  // namespace
}  // namespace hearth::flywheel
