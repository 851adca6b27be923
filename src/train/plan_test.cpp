#include "train/plan.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "io/json.h"

namespace hearth::train {
namespace {

constexpr double kGB = 1e9;

PlanModel gpt3() { return *known_plan_model("gpt3-175b"); }

// Three sequences in flight over all devices, every activation kept but the attention matrix.
PlanRequest gpt3_request() {
  PlanRequest request;
  request.model = gpt3();
  request.tokens = 3 * 2048;
  request.logit_rows = 2048;
  return request;
}

LoraPlan all_attention(int64_t rank) {
  LoraPlan lora;
  lora.rank = rank;
  lora.targets = {"q_proj", "k_proj", "v_proj", "o_proj"};
  return lora;
}

TEST(Plan, CountsParametersAsThePapersDo) {
  EXPECT_NEAR(static_cast<double>(parameters_of(gpt3())), 174.6e9, 0.1e9);
  EXPECT_EQ(parameters_of(*known_plan_model("llama2-7b")), 6738415616);
  EXPECT_EQ(parameters_of(*known_plan_model("llama2-70b")), 68976648192);
  EXPECT_EQ(parameters_of(*known_plan_model("llama3-8b")), 8030261248);
  EXPECT_FALSE(known_plan_model("gpt9"));
}

// Rajbhandari et al. 2020, figure 1: 7.5 B parameters, Adam in mixed precision, 64 devices.
TEST(Plan, ZerosTable) {
  PlanRequest request;
  request.model.stated_parameters = 7'500'000'000;
  request.tokens = 0;
  const TrainPlan plan = plan_training(request);
  const auto gigabytes = [&](Split split) { return on_device(plan, split, 64).total() / kGB; };
  EXPECT_NEAR(gigabytes(Split::kZero0), 120, 0.05);
  EXPECT_NEAR(gigabytes(Split::kZero1), 31.4, 0.05);
  EXPECT_NEAR(gigabytes(Split::kZero2), 16.6, 0.05);
  EXPECT_NEAR(gigabytes(Split::kZero3), 1.9, 0.05);
}

// The figures that Microsoft gives for GPT-3 on devices of 32 GB in nodes of 8: 96 devices for full
// fine-tuning against 24 with LoRA, a checkpoint of 1 TB against one of 200 MB. The same tokens are
// in flight in both.
TEST(Plan, Gpt3FullAgainstLora) {
  const PlanRequest full = gpt3_request();
  const TrainPlan full_plan = plan_training(full);
  PlanRequest lora = full;
  lora.lora = all_attention(11);
  const TrainPlan lora_plan = plan_training(lora);
  EXPECT_NEAR(full_plan.pieces.states() / kGB, 16 * 174.6, 1);
  EXPECT_NEAR(lora_plan.pieces.states() / kGB, 2 * 174.6 + 16 * 0.104, 1);
  EXPECT_EQ(full_plan.pieces.activations, lora_plan.pieces.activations);

  const auto devices = [](const TrainPlan& plan) {
    return devices_needed(plan, Split::kModel, 32 * kGB, 8)->whole;
  };
  EXPECT_EQ(devices(full_plan), 96);
  EXPECT_EQ(devices(lora_plan), 24);
  const auto share = [](const TrainPlan& plan, int64_t count) {
    return plan.pieces.activations / (static_cast<double>(count) * 32 * kGB);
  };
  EXPECT_NEAR(share(full_plan, 96), 0.08, 0.01) << "of all memory";
  EXPECT_NEAR(share(lora_plan, 24), 0.30, 0.01);

  EXPECT_NEAR(full_plan.checkpoint / 1e12, 1.05, 0.01);
  EXPECT_NEAR(lora_plan.checkpoint / 1e6, 208, 1);
  lora.lora = all_attention(10);
  EXPECT_NEAR(plan_training(lora).checkpoint / 1e6, 189, 1);
}

// How many tokens may be in flight for 96 and 24 to hold: the figures do not hang on one choice,
// and do not hold for every one.
TEST(Plan, TheTokensInFlightThatGiveThoseFigures) {
  PlanRequest full = gpt3_request();
  PlanRequest lora = gpt3_request();
  lora.lora = all_attention(11);
  const auto devices = [](PlanRequest& request, int64_t tokens) {
    request.tokens = tokens;
    return devices_needed(plan_training(request), Split::kModel, 32 * kGB, 8)->whole;
  };
  EXPECT_EQ(devices(lora, 4096), 16);
  for (int64_t tokens : {4400, 5120, 6144, 7168}) {
    EXPECT_EQ(devices(full, tokens), 96) << tokens;
    EXPECT_EQ(devices(lora, tokens), 24) << tokens;
  }
  EXPECT_EQ(devices(full, 7400), 104);
}

// Hu et al. 2021, section 4.2: rank 4 on q and v makes a checkpoint of about 35 MB (2^20 bytes).
TEST(Plan, LorasOwnCheckpoint) {
  PlanRequest request = gpt3_request();
  request.lora = LoraPlan{.rank = 4};
  EXPECT_NEAR(plan_training(request).checkpoint / (1 << 20), 36, 0.1);
  EXPECT_EQ(plan_training(request).trained, 18'874'368);
}

// Korthikanti et al. 2022: 34 bytes a token, layer and unit of width without the attention matrix;
// two of them are dropout masks, which are not kept here.
TEST(Plan, ActivationsOfABlock) {
  PlanRequest request = gpt3_request();
  request.model.layers = 1;
  const double one = activation_bytes(request);
  request.model.layers = 2;
  EXPECT_EQ(activation_bytes(request) - one, 32 * 12288);
  request.kept = KeptActivations::kBlockInputs;
  EXPECT_LT(activation_bytes(request), one + 3 * 12288);
}

TEST(Plan, ZeroCannotDivideActivations) {
  const TrainPlan plan = plan_training(gpt3_request());
  EXPECT_FALSE(devices_needed(plan, Split::kZero3, 32 * kGB, 8)) << "243 GB of them on each device";
  EXPECT_FALSE(devices_needed(plan, Split::kZero0, 80 * kGB, 8));
  PlanRequest small;
  small.model = *known_plan_model("llama2-7b");
  EXPECT_FALSE(devices_needed(plan_training(small), Split::kZero0, 80 * kGB, 8));
  const auto sharded = devices_needed(plan_training(small), Split::kZero3, 80 * kGB, 8);
  ASSERT_TRUE(sharded);
  EXPECT_EQ(sharded->least, 2);
  EXPECT_EQ(sharded->whole, 2) << "less than a node is no whole node";
}

TEST(Plan, ReadsConfigs) {
  const io::Json llama = {{"model_type", "llama"},    {"hidden_size", 64},
                          {"num_hidden_layers", 2},   {"num_attention_heads", 4},
                          {"num_key_value_heads", 2}, {"intermediate_size", 160},
                          {"vocab_size", 100},        {"tie_word_embeddings", true}};
  const PlanModel model = plan_model(llama, "m", "config.json");
  EXPECT_EQ(parameters_of(model),
            2 * (64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 160 + 2 * 64) + 101 * 64);
  const io::Json gpt2 = {{"model_type", "gpt2"}, {"n_embd", 768},       {"n_layer", 12},
                         {"n_head", 12},         {"vocab_size", 50257}, {"n_positions", 1024}};
  // 124.4 M with the biases, which are not counted.
  EXPECT_NEAR(static_cast<double>(parameters_of(plan_model(gpt2, "gpt2", "c"))), 124.4e6, 0.2e6);
  EXPECT_THROW(plan_model({{"hidden_size", 3}}, "m", "c"), Error);
}

}  // namespace
}  // namespace hearth::train
