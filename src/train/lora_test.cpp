// Adapters inside a whole model: gradients, files, merging, other programs' adapters.
#include "train/lora.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>

#include "adapters/merge.h"
#include "backend/cpu/thread_pool.h"
#include "backend/cpu/train_kernels.h"
#include "base/error.h"
#include "base/random.h"
#include "io/json.h"
#include "train/hf_files.h"
#include "train/model.h"

namespace hearth::train {
namespace {

namespace cpu = backend::cpu;
using adapters::AdapterConfig;
class LoraTest : public testing::Test {
 protected:
  ops::TrainContext context() { return {cpu::train_kernels(), pool_, scratch_}; }
  cpu::ThreadPool pool_{1};
  ops::Scratch scratch_;
};

// A model of two layers whose weights are those of a directory written here.
class LoraModelTest : public LoraTest {
 protected:
  LoraModelTest() : folder_(testing::TempDir() + "hearth-lora-" + test_name()) {
    auto ctx = context();
    auto base = make_model(config_json(), {.compute = DType::kF32}, "config");
    Random random(3);
    base->parameters().initialise(random);
    base->parameters().refresh(ctx);
    save_model(folder_, *base, {.dtype = DType::kF32});
    batch_.append(std::vector<int32_t>{1, 5, 9, 3, 7, 2});
    batch_.append(std::vector<int32_t>{4, 4, 8});
    base_losses_ = losses(*base);
  }
  ~LoraModelTest() override { std::filesystem::remove_all(folder_); }

  static std::string test_name() {
    return testing::UnitTest::GetInstance()->current_test_info()->name();
  }
  static io::Json config_json() {
    return {{"model_type", "llama"},    {"vocab_size", 13},
            {"hidden_size", 32},        {"intermediate_size", 64},
            {"num_hidden_layers", 2},   {"num_attention_heads", 4},
            {"num_key_value_heads", 2}, {"max_position_embeddings", 16},
            {"rms_norm_eps", 1e-5},     {"tie_word_embeddings", true},
            {"initializer_range", 0.2}};
  }
  static AdapterConfig adapter_config() {
    AdapterConfig config;
    config.r = 2;
    config.lora_alpha = 4;
    config.target_modules.names = {"q_proj", "v_proj", "o_proj", "down_proj"};
    config.rank_pattern = {{"layers.1.mlp.down_proj", 3}};
    return config;
  }

  std::unique_ptr<Model> load(LoraSet& set, Recompute recompute = Recompute::kNone,
                              models::Quantize quantize = models::Quantize::kNone) {
    auto ctx = context();
    auto model = make_model(config_json(),
                            {.compute = DType::kF32,
                             .recompute = recompute,
                             .training = Training::kFrozen,
                             .low_rank = &set},
                            "config");
    load_weights(folder_, *model, {.quantize = quantize});
    Random random(9);
    model->parameters().initialise(random);
    set.initialise(ctx, model->weights());
    model->parameters().refresh(ctx);
    return model;
  }
  // Small values everywhere, so that no gradient is zero.
  void shake(Model& model, LoraSet& set) {
    auto ctx = context();
    Random random(10);
    float* values = model.parameters().flat_master().as<float>();
    for (const Parameter& p : model.parameters().list()) {
      for (int64_t i = 0; i < p.count(); ++i) {
        values[p.offset + i] += static_cast<float>(0.1 * random.normal());
      }
    }
    model.parameters().refresh(ctx);
    set.weights_changed();
  }
  std::vector<float> losses(Model& model) {
    auto ctx = context();
    std::vector<float> each(batch_.ids.size());
    model.losses(ctx, batch_, each);
    return each;
  }
  double loss(Model& model) {
    double sum = 0;
    for (float each : losses(model)) sum += each;
    return sum;
  }

  std::string folder_;
  Batch batch_;
  std::vector<float> base_losses_;
};

TEST_F(LoraModelTest, TrainingBeginsAtTheBase) {
  for (const bool dora : {false, true}) {
    AdapterConfig config = adapter_config();
    config.use_dora = dora;
    LoraSet set(config, "adapter");
    auto model = load(set);
    EXPECT_EQ(set.modules(), 8u);
    EXPECT_EQ(model->parameters().list().size(), dora ? 24u : 16u);
    const std::vector<float> fresh = losses(*model);
    for (size_t i = 0; i < fresh.size(); ++i) EXPECT_NEAR(fresh[i], base_losses_[i], 1e-5);
    shake(*model, set);
    EXPECT_GT(std::fabs(loss(*model) - (fresh[0] + fresh[1])), 1e-3);
    set.set_mode(LoraShared::Mode::kOff);
    EXPECT_EQ(losses(*model), base_losses_) << "the reference of preference training";
  }
}

TEST_F(LoraModelTest, GradientsAreThoseOfTheLoss) {
  AdapterConfig config = adapter_config();
  LoraSet set(config, "adapter");
  auto model = load(set);
  shake(*model, set);
  auto ctx = context();
  model->parameters().clear_gradients();
  const double at = model->forward_backward(ctx, batch_, 1.0f);
  EXPECT_NEAR(at, loss(*model), 1e-4);
  float* values = model->parameters().flat_master().as<float>();
  const float* gradient = model->parameters().flat_gradient().as<float>();
  for (const Parameter& p : model->parameters().list()) {
    for (int64_t i : {p.offset, p.offset + p.count() / 2, p.offset + p.count() - 1}) {
      const float before = values[i];
      constexpr float kStep = 5e-3f;
      values[i] = before + kStep;
      const double above = loss(*model);
      values[i] = before - kStep;
      const double below = loss(*model);
      values[i] = before;
      EXPECT_NEAR(gradient[i], (above - below) / (2 * kStep), 2e-3 + 0.02 * std::fabs(gradient[i]))
          << p.pieces.front().name;
    }
  }
}

TEST_F(LoraModelTest, RecomputedBlocksGiveTheSameGradients) {
  AdapterConfig config = adapter_config();
  config.lora_dropout = 0.25;
  for (const bool dora : {false, true}) {
    config.use_dora = dora;
    std::vector<std::vector<float>> gradients;
    for (const Recompute recompute : {Recompute::kNone, Recompute::kBlock}) {
      LoraSet set(config, "adapter");
      auto model = load(set, recompute);
      shake(*model, set);
      set.set_mode(LoraShared::Mode::kTrain, 99);
      auto ctx = context();
      model->parameters().clear_gradients();
      model->forward_backward(ctx, batch_, 1.0f);
      const TensorView flat = model->parameters().flat_gradient();
      gradients.emplace_back(flat.as<float>(), flat.as<float>() + flat.shape.count());
    }
    EXPECT_EQ(gradients[0], gradients[1]);
  }
}

TEST_F(LoraModelTest, AnAdapterGoesOutAndIn) {
  for (const bool dora : {false, true}) {
    AdapterConfig config = adapter_config();
    config.use_dora = dora;
    LoraSet set(config, "adapter");
    auto model = load(set);
    shake(*model, set);
    const adapters::Adapter adapter = set.adapter();
    ASSERT_EQ(adapter.modules.size(), 8u);
    EXPECT_EQ(adapter.modules[0].name, "model.layers.0.mlp.down_proj");
    EXPECT_EQ(adapter.modules[4].rank, 3);
    EXPECT_FLOAT_EQ(adapter.modules[4].scale, 4.0f / 3);
    LoraSet other(config, "adapter");
    auto copy = load(other);
    other.load(adapter);
    auto ctx = context();
    copy->parameters().refresh(ctx);
    EXPECT_EQ(losses(*copy), losses(*model));
    config.rank_pattern.clear();
    LoraSet narrow(config, "adapter");
    auto wrong = load(narrow);
    EXPECT_THROW(narrow.load(adapter), Error);
  }
}

TEST_F(LoraModelTest, MergedIsBaseAndAdapter) {
  for (const bool dora : {false, true}) {
    AdapterConfig config = adapter_config();
    config.use_dora = dora;
    LoraSet set(config, "adapter");
    auto model = load(set);
    shake(*model, set);
    const std::string out = folder_ + "/merged";
    adapters::merge_checkpoint(folder_, set.adapter(), out, pool_);
    auto ctx = context();
    auto merged = make_model(config_json(), {.compute = DType::kF32}, "config");
    load_weights(out, *merged);
    merged->parameters().refresh(ctx);
    const std::vector<float> want = losses(*model);
    const std::vector<float> got = losses(*merged);
    EXPECT_GT(std::fabs(want[0] - base_losses_[0]), 1e-3);
    for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 2e-5) << i;
  }
}

TEST_F(LoraModelTest, ABaseOfEightBitsTrainsToo) {
  LoraSet set(adapter_config(), "adapter");
  auto model = load(set, Recompute::kNone, models::Quantize::kQ8);
  shake(*model, set);
  auto ctx = context();
  const double before = loss(*model);
  model->parameters().clear_gradients();
  model->forward_backward(ctx, batch_, 1.0f);
  // A step along the gradient lowers the loss by about its square.
  float* values = model->parameters().flat_master().as<float>();
  const float* gradient = model->parameters().flat_gradient().as<float>();
  double expected = 0;
  constexpr float kRate = 1e-4f;
  for (int64_t i = 0; i < model->parameters().flat_master().shape.count(); ++i) {
    values[i] -= kRate * gradient[i];
    expected += double{kRate} * gradient[i] * gradient[i];
  }
  model->parameters().refresh(ctx);
  EXPECT_NEAR(before - loss(*model), expected, 0.1 * expected);
}

// An adapter that PEFT's library wrote, against what transformers computed with it unmerged. They
// are not in the repository.
TEST_F(LoraTest, AnAdapterOfPeftGivesTransformersLogits) {
  const char* shared = std::getenv("HEARTH_SHARED");
  if (shared == nullptr) GTEST_SKIP() << "HEARTH_SHARED is not set: no adapter to compare with";
  const std::string data = std::string(shared) + "/data/";
  const std::string base = data + "stories15M-hf";
  io::Folder files(data + "tiny/stories15M-lora-r8");
  const adapters::Adapter adapter = adapters::load_adapter(files);
  LoraSet set(adapter.config, "adapter");
  auto ctx = context();
  auto model = make_model(io::load_json(base + "/config.json"),
                          {.compute = DType::kF32, .training = Training::kFrozen, .low_rank = &set},
                          "config");
  load_weights(base, *model);
  set.initialise(ctx, model->weights());
  set.load(adapter);
  const io::Json golden = io::load_json(data + "tiny/stories15M-lora-r8/golden.json");
  int compared = 0;
  for (const io::Json& one : golden["cases"]) {
    std::vector<float> logits(32000);
    model->next_logits(ctx, one["ids"].get<std::vector<int32_t>>(), logits);
    for (const auto& [id, logit] : one["last_logits_top"].items()) {
      EXPECT_NEAR(logits[static_cast<size_t>(std::stoi(id))], logit.get<float>(), 2e-3) << id;
      ++compared;
    }
  }
  EXPECT_EQ(compared, 60);
}

TEST_F(LoraModelTest, TargetsThatFitNothingAreNamed) {
  AdapterConfig config;
  config.target_modules.names = {"c_attn"};
  LoraSet set(config, "tune.toml");
  try {
    load(set);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("model.layers.0.self_attn.q_proj"), std::string::npos)
        << error.what();
  }
  AdapterConfig wide = adapter_config();
  wide.r = 33;
  LoraSet too_wide(wide, "tune.toml");
  EXPECT_THROW(load(too_wide), Error);
}

}  // namespace
}  // namespace hearth::train
