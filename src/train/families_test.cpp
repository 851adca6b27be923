// Every family in training, on the tiny checkpoints of tests/golden/families.json: the forward pass
// is that of transformers and of serving, the gradient is that of the loss, what is saved serves.
#include "train/families.h"

#include <cmath>
#include <filesystem>
#include <gtest/gtest.h>
#include <numeric>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/train_kernels.h"
#include "base/error.h"
#include "io/json.h"
#include "models/model.h"
#include "models/test_checkpoint.h"
#include "train/gradient_check.h"
#include "train/hf_files.h"

namespace hearth::train {
namespace {

using models::TestCheckpoint;

constexpr float kRelativeTolerance = 1e-4f;  // sums in f32, in different orders

// Lengths that only serving can be asked for, and the multimodal wrapper.
bool trained_here(const TestCheckpoint& checkpoint) {
  return checkpoint.options().max_model_len == 0 && checkpoint.name() != "gemma3-nested";
}

std::vector<TestCheckpoint> checkpoints() {
  std::vector<TestCheckpoint> list;
  for (TestCheckpoint& checkpoint : models::test_checkpoints(HEARTH_SOURCE_DIR)) {
    if (trained_here(checkpoint)) list.push_back(std::move(checkpoint));
  }
  return list;
}

// One of each family for tests that take longer.
std::vector<TestCheckpoint> one_of_each() {
  std::vector<TestCheckpoint> list;
  for (const char* name : {"llama-biases-head-dim", "mistral-window", "qwen2-sliding", "qwen3",
                           "phi-qk-layernorm-newer", "phi3", "gemma2", "gemma3", "gpt2",
                           "neox-serial-newer", "neox"}) {
    list.push_back(models::test_checkpoint(HEARTH_SOURCE_DIR, name));
  }
  return list;
}

float difference(std::span<const float> got, std::span<const float> want) {
  float worst = 0;
  float largest = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    if (!std::isfinite(got[i])) return INFINITY;
    worst = std::max(worst, std::abs(got[i] - want[i]));
    largest = std::max(largest, std::abs(want[i]));
  }
  return worst / largest;
}

class FamiliesTest : public testing::Test {
 protected:
  FamiliesTest() : folder_(testing::TempDir() + "hearth-families") {
    std::filesystem::remove_all(folder_);
  }
  ~FamiliesTest() override { std::filesystem::remove_all(folder_); }

  // The checkpoint's files live as long as it does.
  std::unique_ptr<Model> load(const TestCheckpoint& checkpoint, const ModelOptions& options,
                              const LoadWeightsOptions& weights = {}) {
    auto files = std::make_shared<io::MemoryFiles>(checkpoint.files());
    const std::string where = files->where("config.json");
    auto model = make_model(io::parse_json(files->text("config.json"), where), options, where);
    load_weights(files, *model, weights);
    model->parameters().refresh(ctx_);
    return model;
  }

  static Batch two_documents(const TestCheckpoint& checkpoint) {
    const std::vector<int32_t> tokens = checkpoint.tokens();
    Batch batch;
    batch.append(std::span(tokens).first(14));
    batch.append(std::span(tokens).subspan(2, 12));
    return batch;
  }

  double loss(Model& model, const Batch& batch) { return loss_of(model, ctx_, batch); }

  std::string folder_;
  backend::cpu::Backend backend_{{.threads = 1}};
  ops::Scratch scratch_;
  ops::Context serving_ = backend_.context();
  ops::TrainContext ctx_{backend::cpu::train_kernels(), serving_.workers, scratch_};
};

TEST_F(FamiliesTest, LogitsAreThoseOfTransformers) {
  float worst = 0;
  for (const TestCheckpoint& checkpoint : checkpoints()) {
    SCOPED_TRACE(checkpoint.name());
    const auto model = load(checkpoint, {.compute = DType::kF32});
    const std::vector<int32_t> tokens = checkpoint.tokens();
    for (const auto& [position, want] : checkpoint.logits()) {
      std::vector<float> got(want.size());
      model->next_logits(ctx_, std::span(tokens).first(static_cast<size_t>(position) + 1), got);
      const float here = difference(got, want);
      EXPECT_LT(here, kRelativeTolerance) << "position " << position;
      worst = std::max(worst, here);
    }
  }
  std::printf("largest relative difference of a logit: %.2g\n", static_cast<double>(worst));
}

// Logits of the last token of `tokens`, as the server computes them.
std::vector<float> serve(ops::Context& ctx, const std::string& folder,
                         std::span<const int32_t> tokens) {
  io::Folder files(folder);
  const auto model = models::load(files, {.compute = ops::ComputeType::kF32});
  const models::ModelInfo& info = model->info;
  const int64_t blocks = static_cast<int64_t>(tokens.size()) / ops::kKvBlockTokens + 1;
  std::vector<int32_t> table(static_cast<size_t>(blocks));
  std::iota(table.begin(), table.end(), 0);
  std::vector<Tensor> memory;
  nn::KvCache cache;
  for (int64_t i = 0; i < info.layers; ++i) {
    const auto zeros = [&](Shape shape) -> TensorView {
      return memory.emplace_back(Tensor::zeros(DType::kF32, shape));
    };
    const TensorView keys = zeros({blocks, info.kv_heads, info.head_dim, ops::kKvBlockTokens});
    const TensorView values = zeros({blocks, info.kv_heads, ops::kKvBlockTokens, info.head_dim});
    cache.layers.push_back({keys, values, info.kv_heads, info.head_dim});
  }
  std::vector<int32_t> positions(tokens.size());
  std::iota(positions.begin(), positions.end(), 0);
  const ops::KvSequence sequence{0, static_cast<int32_t>(tokens.size()), 0, table.data()};
  ctx.arena.reset();
  nn::Pass pass{ctx, tokens, positions, {&sequence, 1}, cache};
  const TensorView logits = model->logits(ctx, model->forward(pass));
  const float* row = logits.row<float>(logits.rows() - 1);
  return {row, row + logits.cols()};
}

TEST_F(FamiliesTest, WhatIsSavedServesTheSameLogits) {
  for (const TestCheckpoint& checkpoint : checkpoints()) {
    SCOPED_TRACE(checkpoint.name());
    const auto model = load(checkpoint, {.compute = DType::kF32});
    save_model(folder_, *model, {.dtype = DType::kF32});
    const std::vector<int32_t> tokens = checkpoint.tokens();
    const std::vector<float> served = serve(serving_, folder_, tokens);
    std::vector<float> trained(served.size());
    model->next_logits(ctx_, tokens, trained);
    EXPECT_LT(difference(trained, served), kRelativeTolerance);
    std::filesystem::remove_all(folder_);
  }
}

TEST_F(FamiliesTest, WholeModelGradient) {
  for (const TestCheckpoint& checkpoint : one_of_each()) {
    SCOPED_TRACE(checkpoint.name());
    const auto model = load(checkpoint, {.compute = DType::kF32});
    check_gradients(*model, ctx_, two_documents(checkpoint), 2e-3, 1e-2);
  }
}

TEST_F(FamiliesTest, RecomputeChangesNoBit) {
  for (const TestCheckpoint& checkpoint : one_of_each()) {
    SCOPED_TRACE(checkpoint.name());
    const Batch batch = two_documents(checkpoint);
    std::vector<std::vector<float>> gradients;
    for (const Recompute recompute : {Recompute::kNone, Recompute::kBlock}) {
      const auto model = load(checkpoint, {.recompute = recompute});
      model->parameters().clear_gradients();
      model->forward_backward(ctx_, batch, 1.0f);
      const TensorView flat = model->parameters().flat_gradient();
      gradients.emplace_back(flat.as<float>(), flat.as<float>() + flat.shape.count());
    }
    EXPECT_EQ(gradients[0], gradients[1]);
  }
}

// bf16 products are close to f32 ones.
TEST_F(FamiliesTest, Bf16LossIsNearF32) {
  for (const TestCheckpoint& checkpoint : one_of_each()) {
    SCOPED_TRACE(checkpoint.name());
    const Batch batch = two_documents(checkpoint);
    const auto whole = load(checkpoint, {.compute = DType::kF32});
    const auto narrow = load(checkpoint, {});
    const auto targets = static_cast<double>(batch.target_count());
    EXPECT_NEAR(loss(*narrow, batch) / targets, loss(*whole, batch) / targets, 0.1);
  }
}

// A few steps down the gradient: the loss falls.
TEST_F(FamiliesTest, EveryFamilyLearns) {
  for (const TestCheckpoint& checkpoint : one_of_each()) {
    SCOPED_TRACE(checkpoint.name());
    const auto model = load(checkpoint, {});
    const Batch batch = two_documents(checkpoint);
    Parameters& parameters = model->parameters();
    const double before = loss(*model, batch);
    for (int step = 0; step < 10; ++step) {
      parameters.clear_gradients();
      model->forward_backward(ctx_, batch, 1.0f);
      const TensorView gradient = parameters.flat_gradient();
      const TensorView master = parameters.flat_master();
      for (int64_t i = 0; i < gradient.shape.count(); ++i) {
        master.as<float>()[i] -= 2e-3f * gradient.as<float>()[i];
      }
      parameters.refresh(ctx_);
    }
    EXPECT_LT(loss(*model, batch), 0.8 * before);
  }
}

TEST_F(FamiliesTest, AFrozenModelComputesTheSameAndHasNothingToTrain) {
  for (const TestCheckpoint& checkpoint : checkpoints()) {
    SCOPED_TRACE(checkpoint.name());
    const Batch batch = two_documents(checkpoint);
    for (const DType compute : {DType::kF32, DType::kBF16}) {
      const auto trained = load(checkpoint, {.compute = compute});
      const auto frozen = load(checkpoint, {.compute = compute, .training = Training::kFrozen});
      EXPECT_TRUE(frozen->parameters().list().empty());
      const double want = loss(*trained, batch);
      EXPECT_NEAR(loss(*frozen, batch), want, (compute == DType::kF32 ? 1e-5 : 1e-2) * want);
      EXPECT_NEAR(frozen->forward_backward(ctx_, batch, 1.0f), want, 1e-2 * want);
    }
  }
}

TEST_F(FamiliesTest, AQuantisedBaseIsNearTheWholeOne) {
  for (const TestCheckpoint& checkpoint : one_of_each()) {
    SCOPED_TRACE(checkpoint.name());
    const Batch batch = two_documents(checkpoint);
    const auto whole = load(checkpoint, {.compute = DType::kF32, .training = Training::kFrozen});
    const auto packed = load(checkpoint, {.compute = DType::kF32, .training = Training::kFrozen},
                             {.quantize = models::Quantize::kQ8});
    const double want = loss(*whole, batch);
    const double got = loss(*packed, batch);
    EXPECT_NE(got, want);
    EXPECT_NEAR(got, want, 0.05 * want);
  }
}

TEST_F(FamiliesTest, AMissingTensorIsNamed) {
  const TestCheckpoint checkpoint = models::test_checkpoint(HEARTH_SOURCE_DIR, "llama-gqa");
  const auto files = std::make_shared<io::MemoryFiles>(checkpoint.files());
  io::Json config = io::parse_json(files->text("config.json"), "config.json");
  config["num_hidden_layers"] = 3;
  const auto deeper = make_model(config, {}, "config.json");
  try {
    load_weights(files, *deeper);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(error.text.find("model.layers.2.input_layernorm.weight"), std::string::npos)
        << error.text;
  }
  config["num_hidden_layers"] = 1;
  const auto shallower = make_model(config, {}, "config.json");
  EXPECT_THROW(load_weights(files, *shallower), Error);
}

}  // namespace
}  // namespace hearth::train
