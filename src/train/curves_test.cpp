// Whole training runs: against PyTorch's (tests/golden/train_curves.json, made by
// tools/goldens/train_curves.py), and against our own of an earlier day.
#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>

#include "backend/cpu/thread_pool.h"
#include "backend/cpu/train_kernels.h"
#include "io/json.h"
#include "models/test_checkpoint.h"
#include "ops/optimizer.h"
#include "train/hf_files.h"
#include "train/optimizer.h"
#include "train/schedule.h"

namespace hearth::train {
namespace {

// As train_curves.py makes it.
std::vector<int32_t> document(int64_t step, int64_t index, int64_t vocab) {
  std::vector<int32_t> tokens = {static_cast<int32_t>((11 * step + 5 * index) % vocab)};
  while (static_cast<int64_t>(tokens.size()) < 5 + (7 * index + 3 * step) % 20) {
    tokens.push_back(static_cast<int32_t>((3 * int64_t{tokens.back()} + 1) % vocab));
  }
  return tokens;
}

class Curve {
 public:
  Curve(const io::Json& golden, DType compute, const ops::TrainKernels& kernels)
      : golden_(golden), checkpoint_(golden), ctx_{kernels, pool_, scratch_} {
    auto files = std::make_shared<io::MemoryFiles>(checkpoint_.files());
    model_ = make_model(golden["config"], {.compute = compute}, "test");
    load_weights(files, *model_);
    model_->parameters().refresh(ctx_);
    const io::Json& o = golden["optimizer"];
    optimizer_ = std::make_unique<Optimizer>(OptimizerOptions{.beta1 = o["beta1"],
                                                              .beta2 = o["beta2"],
                                                              .epsilon = o["epsilon"],
                                                              .weight_decay = o["weight_decay"]},
                                             model_->parameters());
    schedule_ = {ScheduleKind::kCosine, static_cast<int64_t>(golden["losses"].size()),
                 golden["warmup_steps"], golden["final_fraction"]};
  }

  struct Step {
    double loss = 0;
    double grad_norm = 0;
  };
  Step step(int64_t index) {
    Batch batch;
    for (int64_t i = 0; i < golden_["documents"].get<int64_t>(); ++i) {
      batch.append(document(index, i, golden_["config"]["vocab_size"]));
    }
    Parameters& parameters = model_->parameters();
    const double per_target = 1.0 / static_cast<double>(batch.target_count());
    parameters.clear_gradients();
    Step result;
    result.loss =
        per_target * model_->forward_backward(ctx_, batch, static_cast<float>(per_target));
    result.grad_norm = std::sqrt(ops::sum_squares(ctx_, parameters.flat_gradient()));
    const double clip = golden_["optimizer"]["clip_norm"];
    const double rate = golden_["optimizer"]["learning_rate"];
    optimizer_->step(ctx_, parameters, parameters.flat_gradient(), rate * schedule_.factor(index),
                     std::min(1.0, clip / result.grad_norm));
    return result;
  }

 private:
  const io::Json& golden_;
  models::TestCheckpoint checkpoint_;
  backend::cpu::ThreadPool pool_{1};
  ops::Scratch scratch_;
  ops::TrainContext ctx_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Optimizer> optimizer_;
  Schedule schedule_;
};

io::Json load_curves() {
  return io::load_json(std::string(HEARTH_SOURCE_DIR) + "/tests/golden/train_curves.json");
}

TEST(Curves, LossAndGradientNormAreThoseOfPyTorch) {
  for (const io::Json& golden : load_curves()) {
    SCOPED_TRACE(golden["name"].get<std::string>());
    Curve curve(golden, DType::kF32, backend::cpu::train_kernels());
    double worst = 0;
    for (size_t i = 0; i < golden["losses"].size(); ++i) {
      const Curve::Step got = curve.step(static_cast<int64_t>(i));
      const double loss = golden["losses"][i];
      const double norm = golden["grad_norms"][i];
      worst = std::max(worst, std::abs(got.loss / loss - 1));
      ASSERT_NEAR(got.loss, loss, 2e-4 * loss) << "step " << i;
      ASSERT_NEAR(got.grad_norm, norm, 2e-3 * norm) << "step " << i;
    }
    std::printf("largest relative difference of a loss: %.2g\n", worst);
  }
}

// bf16 products give the same curve within their precision.
TEST(Curves, Bf16FollowsPyTorchsF32) {
  for (const io::Json& golden : load_curves()) {
    SCOPED_TRACE(golden["name"].get<std::string>());
    Curve curve(golden, DType::kBF16, backend::cpu::train_kernels());
    for (size_t i = 0; i < golden["losses"].size(); ++i) {
      const double loss = golden["losses"][i];
      ASSERT_NEAR(curve.step(static_cast<int64_t>(i)).loss, loss, 0.03 * loss) << "step " << i;
    }
  }
}

// Our own curve of an earlier day, on the kernels that every machine has: bf16 activations, sums in
// the order they had then.
TEST(Curves, IsTheOneOfBefore) {
  constexpr double kLosses[] = {4.45394, 4.16422, 3.03553, 2.49093,  // of steps 0, 5, 10, ...
                                2.24379, 1.49215, 1.39678, 1.46636};
  const io::Json golden = load_curves()[0];
  Curve curve(golden, DType::kBF16, backend::cpu::train_kernels_plain());
  for (size_t i = 0; i < 40; ++i) {
    const double loss = curve.step(static_cast<int64_t>(i)).loss;
    if (i % 5 != 0) continue;
    EXPECT_NEAR(loss, kLosses[i / 5], 1e-4 * loss) << "step " << i;
  }
}

}  // namespace
}  // namespace hearth::train
