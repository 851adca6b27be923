#include "train/config.h"

#include <cctype>
#include <gtest/gtest.h>
#include <limits>
#include <sstream>

#include "base/error.h"
#include "io/file.h"
#include "train/schedule.h"
#include "train/spike_guard.h"

namespace hearth::train {
namespace {

constexpr const char* kSmallest = R"(
[data]
train = ["a.tok"]
[run]
out = "out"
)";

std::string error_of(const std::string& text) {
  try {
    parse_config(text, "x.toml", "");
  } catch (const Error& error) {
    return error.text;
  }
  return "no error";
}

TEST(TrainConfig, EveryFieldHasADefault) {
  const TrainConfig config = parse_config(kSmallest, "x.toml", "/folder");
  EXPECT_EQ(config.data.train, std::vector<std::string>{"/folder/a.tok"});
  EXPECT_EQ(config.run.out, "/folder/out");
  EXPECT_EQ(config.optimizer.name, "adamw");
}

// docs/training.md lists every field with the default that it has.
TEST(TrainConfig, TheReferenceIsComplete) {
  const std::string page = io::read_file(HEARTH_SOURCE_DIR "/docs/training.md");
  std::istringstream fields(to_toml({}));
  std::string section;
  for (std::string line; std::getline(fields, line);) {
    if (line.starts_with("[")) {
      section = "### " + line + "\n";
      ASSERT_NE(page.find(section), std::string::npos) << section;
    }
    const size_t equals = line.find(" = ");
    if (equals == std::string::npos) continue;
    const std::string row = "\n| `" + line.substr(0, equals) + "` | `";
    const size_t at = page.find(row, page.find(section));
    ASSERT_NE(at, std::string::npos) << section << line;
    const size_t begin = at + row.size();
    std::string written = page.substr(begin, page.find('`', begin) - begin);
    std::string value = line.substr(equals + 3);
    for (std::string* text : {&written, &value}) {
      std::erase_if(*text, [](char c) { return c == '"' || c == '\'' || c == ' '; });
    }
    const bool number = !value.empty() && (std::isdigit(value[0]) != 0);
    if (number) {
      EXPECT_EQ(std::stod(written), std::stod(value)) << section << line;
    } else {
      EXPECT_EQ(written, value) << section << line;
    }
  }
}

TEST(TrainConfig, NamesAnUnknownKeyAndTheNearest) {
  EXPECT_EQ(error_of(std::string(kSmallest) + "[optimizer]\nlearning_rat = 1.0\n"),
            "unknown key 'optimizer.learning_rat'; did you mean 'optimizer.learning_rate'?");
  EXPECT_EQ(error_of(std::string(kSmallest) + "[optimiser]\n"),
            "unknown key 'optimiser'; did you mean 'optimizer'?");
}

TEST(TrainConfig, NamesWrongTypesAndValues) {
  EXPECT_EQ(error_of(std::string(kSmallest) + "[batch]\ntokens = \"many\"\n"),
            "batch.tokens must be a whole number");
  EXPECT_EQ(error_of(std::string(kSmallest) + "[batch]\ntokens = 0\n"),
            "batch.tokens must be above 0");
  EXPECT_NE(error_of(std::string(kSmallest) + "precision = \"f16\"\n").find("bf16 or f32"),
            std::string::npos);
  EXPECT_NE(error_of("[data").find("not valid TOML at line 1"), std::string::npos);
  const std::pair<const char*, const char*> cases[] = {
      {"[optimizer]\nlearning_rate = inf\n", "optimizer.learning_rate must be a number above 0"},
      {"[optimizer]\nlearning_rate = nan\n", "optimizer.learning_rate must be a number above 0"},
      {"[optimizer]\nbeta1 = 1.0\n", "optimizer.beta1 must be in [0, 1)"},
      {"[optimizer]\nname = \"sgd\"\n", "expected adamw or muon, came 'sgd'"},
      {"[schedule]\nkind = \"cosin\"\n", "came 'cosin'"},
      {"[schedule]\nfinal_fraction = 2.0\n", "schedule.final_fraction must be from 0 to 1"},
      {"threads = -3\n", "run.threads must be from 0 (all cores) to 1024"},
      {"threads = 100000\n", "run.threads must be from 0 (all cores) to 1024"}};
  for (const auto& [lines, part] : cases) {
    const std::string said = error_of(std::string(kSmallest) + lines);
    EXPECT_NE(said.find(part), std::string::npos) << lines << said;
  }
}

TEST(TrainConfig, AModelHasOneShape) {
  const std::string both = std::string(kSmallest) + "[model]\nfrom = \"a\"\nconfig = \"b.json\"\n";
  EXPECT_NE(error_of(both).find("model.config must be empty beside model.from"), std::string::npos)
      << error_of(both);
}

TEST(TrainConfig, WritesWhatItReads) {
  TrainConfig config = parse_config(kSmallest, "x.toml", "");
  config.optimizer.beta2 = 0.875;
  config.model.tie_word_embeddings = false;
  const TrainConfig again = parse_config(to_toml(config), "y.toml", "");
  EXPECT_EQ(again.optimizer.beta2, 0.875);
  EXPECT_FALSE(again.model.tie_word_embeddings);
  EXPECT_EQ(again.data.train, config.data.train);
}

TEST(Schedule, WarmsUpAndComesDown) {
  Schedule s{ScheduleKind::kCosine, 110, 10, 0.1, 0.2};
  EXPECT_DOUBLE_EQ(s.factor(0), 0.1);
  EXPECT_DOUBLE_EQ(s.factor(9), 1.0);
  EXPECT_DOUBLE_EQ(s.factor(109), 0.1);
  EXPECT_DOUBLE_EQ(s.factor(500), 0.1);
  s.kind = ScheduleKind::kLinear;
  EXPECT_NEAR(s.factor(10 + 99 / 2), 0.55, 0.01);
  s.kind = ScheduleKind::kWsd;
  EXPECT_DOUBLE_EQ(s.factor(60), 1.0);
  EXPECT_DOUBLE_EQ(s.factor(109), 0.1);
  s.kind = ScheduleKind::kConstant;
  EXPECT_DOUBLE_EQ(s.factor(100), 1.0);
  EXPECT_THROW(parse_schedule("cosin", "schedule.kind"), Error);
}

TEST(SpikeGuard, LeavesOutWhatIsFarAbove) {
  SpikeGuard guard(4, 3.0);
  for (double value : {2.0, 2.1, 1.9, 2.05}) EXPECT_FALSE(guard.is_spike(value));
  EXPECT_TRUE(guard.is_spike(5.0));
  EXPECT_FALSE(guard.is_spike(2.1));
  EXPECT_FALSE(guard.is_spike(0.1));  // a fall is welcome
  EXPECT_TRUE(guard.is_spike(std::numeric_limits<double>::quiet_NaN()));
  SpikeGuard off(4, 0);
  for (double value : {1.0, 1.0, 1.1, 1.0, 1e9}) EXPECT_FALSE(off.is_spike(value));
}

}  // namespace
}  // namespace hearth::train
