#include "train/plan_table.h"

#include <gtest/gtest.h>

#include "io/json.h"

namespace hearth::train {
namespace {

std::vector<PlanColumn> gpt3_columns() {
  PlanRequest full;
  full.model = *known_plan_model("gpt3-175b");
  full.tokens = 6144;
  PlanRequest lora = full;
  lora.lora = LoraPlan{.rank = 11, .targets = {"q_proj", "k_proj", "v_proj", "o_proj"}};
  return {{"full", full}, {"LoRA", lora}};
}

TEST(PlanTable, SaysWhatThePlanSays) {
  const std::string text = plan_table(gpt3_columns(), {.bytes = 32e9, .per_node = 8});
  for (const char* part : {"gpt3-175b: 175 B parameters", "96 x 31.5 GB", "24 x 24.4 GB", "1.05 TB",
                           "208 MB", "never fit", "8 %", "30 %"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
  const std::string fixed = plan_table(gpt3_columns(), {.bytes = 32e9, .devices = 48});
  EXPECT_NE(fixed.find("48 x 63.1 GB, too much"), std::string::npos) << fixed;
}

TEST(PlanTable, TheJsonHasTheSameNumbers) {
  const io::Json json = plan_json(gpt3_columns(), {.bytes = 32e9, .per_node = 8});
  EXPECT_EQ(json["plans"][0]["splits"]["model"]["devices"], 96);
  EXPECT_EQ(json["plans"][1]["splits"]["model"]["devices"], 24);
  EXPECT_TRUE(json["plans"][0]["splits"]["ZeRO-3"].is_null());
}

TEST(PlanTable, ThreeDigits) {
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(999.4), "999 B");
  EXPECT_EQ(bytes_text(999.6), "1.00 kB");
  EXPECT_EQ(bytes_text(31.44e9), "31.4 GB");
  EXPECT_EQ(bytes_text(1047e9), "1.05 TB");
  EXPECT_EQ(count_text(18'874'368), "18.9 M");
}

}  // namespace
}  // namespace hearth::train
