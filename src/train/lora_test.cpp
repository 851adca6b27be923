// Low-rank parts against plain sums in f64, and inside a whole model.
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
using Doubles = std::vector<double>;
using Mode = LoraShared::Mode;

constexpr int64_t kTokens = 7, kIn = 12, kOut = 10, kRank = 3;

Doubles random_values(Random& random, int64_t count, double scale = 1) {
  Doubles values(static_cast<size_t>(count));
  for (double& value : values) value = scale * random.normal();
  return values;
}

// Rounded to the type; `values` become what the tensor holds.
Tensor tensor_of(DType dtype, Shape shape, Doubles& values) {
  Tensor tensor(dtype, shape);
  for (size_t i = 0; i < values.size(); ++i) {
    const auto value = static_cast<float>(values[i]);
    if (dtype == DType::kBF16) {
      tensor->as<uint16_t>()[i] = bf16_from_float(value);
      values[i] = bf16_to_float(bf16_from_float(value));
    } else {
      tensor->as<float>()[i] = value;
      values[i] = value;
    }
  }
  return tensor;
}

double element(const TensorView& t, int64_t i) {
  return t.dtype == DType::kBF16 ? bf16_to_float(t.as<uint16_t>()[i]) : t.as<float>()[i];
}

void expect_near(const TensorView& got, const Doubles& want, double tolerance, const char* what) {
  ASSERT_EQ(static_cast<size_t>(got.shape.count()), want.size()) << what;
  double worst = 0, size = 1e-6;
  for (size_t i = 0; i < want.size(); ++i) {
    worst = std::max(worst, std::fabs(element(got, static_cast<int64_t>(i)) - want[i]));
    size = std::max(size, std::fabs(want[i]));
  }
  EXPECT_LE(worst, tolerance * size) << what;
}

// One projection with a part, in f64. loss = Σ y ∘ g.
struct Plain {
  Doubles x, w, a, b, m, g;
  double scale = 1;
  bool dora = false;
  Doubles norms;  // of the rows at the point where gradients are taken: constants of the loss

  double sum_row(const Doubles& left, int64_t i, const Doubles& right, int64_t j, int64_t n) const {
    double sum = 0;
    for (int64_t k = 0; k < n; ++k) {
      sum += left[static_cast<size_t>(i * n + k)] * right[static_cast<size_t>(j * n + k)];
    }
    return sum;
  }
  double row_norm(int64_t j) const {
    double square = 0;
    for (int64_t i = 0; i < kIn; ++i) {
      double value = w[static_cast<size_t>(j * kIn + i)];
      for (int64_t r = 0; r < kRank; ++r) {
        value +=
            scale * b[static_cast<size_t>(j * kRank + r)] * a[static_cast<size_t>(r * kIn + i)];
      }
      square += value * value;
    }
    return std::sqrt(square);
  }
  Doubles forward() const {
    Doubles y;
    for (int64_t t = 0; t < kTokens; ++t) {
      for (int64_t j = 0; j < kOut; ++j) {
        double sum = sum_row(x, t, w, j, kIn);
        for (int64_t r = 0; r < kRank; ++r) {
          sum += scale * b[static_cast<size_t>(j * kRank + r)] * sum_row(x, t, a, r, kIn);
        }
        const auto row = static_cast<size_t>(j);
        y.push_back(dora ? sum * m[row] / norms[row] : sum);
      }
    }
    return y;
  }
  double loss() const {
    double sum = 0;
    const Doubles y = forward();
    for (size_t i = 0; i < y.size(); ++i) sum += y[i] * g[i];
    return sum;
  }
  Doubles gradient(Doubles Plain::*values) {
    constexpr double kStep = 1e-5;
    Doubles out;
    for (double& value : this->*values) {
      const double at = value;
      value = at + kStep;
      const double above = loss();
      value = at - kStep;
      const double below = loss();
      value = at;
      out.push_back((above - below) / (2 * kStep));
    }
    return out;
  }
};

class LoraTest : public testing::Test {
 protected:
  ops::TrainContext context() { return {cpu::train_kernels(), pool_, scratch_}; }
  cpu::ThreadPool pool_{1};
  ops::Scratch scratch_;
};

struct Case {
  DType dtype;
  bool dora;
  double tolerance;
};

TEST_F(LoraTest, PartsAgreeWithPlainSumsAndTheirDifferences) {
  for (const Case& c : {Case{DType::kF32, false, 1e-5}, Case{DType::kF32, true, 1e-5},
                        Case{DType::kBF16, false, 2e-2}, Case{DType::kBF16, true, 2e-2}}) {
    SCOPED_TRACE(fmt::format("{} {}", to_string(c.dtype), c.dora ? "DoRA" : "LoRA"));
    Random random(11);
    auto ctx = context();
    LoraShared shared;
    Parameters parameters(c.dtype);
    LoraShape shape{{"l.q", kOut, kIn}, kRank, 1.5f, c.dora, 1};
    LoraPart part(shape, shared, parameters);
    parameters.allocate();

    Plain plain{random_values(random, kTokens * kIn),
                random_values(random, kOut * kIn),
                random_values(random, kRank * kIn, 0.3),
                random_values(random, kOut * kRank, 0.3),
                random_values(random, kOut),
                random_values(random, kTokens * kOut),
                1.5,
                c.dora,
                {}};
    const Tensor x = tensor_of(c.dtype, {kTokens, kIn}, plain.x);
    const Tensor w = tensor_of(c.dtype, {kOut, kIn}, plain.w);
    Doubles dx_before = random_values(random, kTokens * kIn);
    const Tensor dx = tensor_of(DType::kF32, {kTokens, kIn}, dx_before);
    const Tensor dy = tensor_of(c.dtype, {kTokens, kOut}, plain.g);
    adapters::AdapterModule module;
    module.a = tensor_of(DType::kF32, {kRank, kIn}, plain.a);
    module.b = tensor_of(DType::kF32, {kOut, kRank}, plain.b);
    module.magnitude = tensor_of(DType::kF32, {kOut}, plain.m);
    if (c.dora) part.set_magnitude(w);
    part.load(module);
    parameters.refresh(ctx);
    for (int64_t j = 0; j < kOut; ++j) plain.norms.push_back(plain.row_norm(j));

    // W x is the projection's own work.
    Plain base = plain;
    base.b.assign(base.b.size(), 0);
    base.dora = false;
    Doubles wx = base.forward();
    const Tensor y = tensor_of(DType::kF32, {kTokens, kOut}, wx);
    part.forward(ctx, x, w, y);
    expect_near(y, plain.forward(), c.tolerance, "y");

    const Doubles want_dx = plain.gradient(&Plain::x);
    const Doubles want_dw_part = base.gradient(&Plain::x);
    part.backward(ctx, x, dy);
    part.backward_input(ctx, dy, dx);
    expect_near(parameters.gradient(0), plain.gradient(&Plain::a), c.tolerance, "dA");
    expect_near(parameters.gradient(1), plain.gradient(&Plain::b), c.tolerance, "dB");
    if (c.dora) expect_near(parameters.gradient(2), plain.gradient(&Plain::m), c.tolerance, "dm");
    // dx holds what was there and what comes through A and B; the projection adds dy W, with the
    // dy that the part left.
    Doubles got_dx;
    for (int64_t t = 0; t < kTokens; ++t) {
      for (int64_t i = 0; i < kIn; ++i) {
        double sum = element(dx, t * kIn + i) - dx_before[static_cast<size_t>(t * kIn + i)];
        for (int64_t j = 0; j < kOut; ++j) {
          sum += element(dy, t * kOut + j) * plain.w[static_cast<size_t>(j * kIn + i)];
        }
        got_dx.push_back(sum);
      }
    }
    Doubles rounded = got_dx;
    expect_near(tensor_of(DType::kF32, {kTokens, kIn}, rounded), want_dx, c.tolerance, "dx");
  }
}

TEST_F(LoraTest, DropoutIsTheSameOnTheWayBack) {
  auto ctx = context();
  Random random(12);
  LoraShared shared;
  shared.mode = Mode::kTrain;
  shared.dropout = 0.5f;
  shared.dropout_key = 77;
  Parameters parameters(DType::kF32);
  LoraPart part({{"l.q", kOut, kIn}, kRank, 1.0f, false, 5}, shared, parameters);
  parameters.allocate();
  parameters.initialise(random);
  Doubles b = random_values(random, kOut * kRank);
  std::copy(b.begin(), b.end(), parameters.master(1).as<float>());
  Doubles xv = random_values(random, kTokens * kIn);
  Doubles gv = random_values(random, kTokens * kOut);
  const Tensor g = tensor_of(DType::kF32, {kTokens, kOut}, gv);
  const auto loss = [&](Doubles& values) {
    const Tensor x = tensor_of(DType::kF32, {kTokens, kIn}, values);
    const Tensor y = Tensor::zeros(DType::kF32, {kTokens, kOut});
    part.forward(ctx, x, {}, y);
    double sum = 0;
    for (int64_t i = 0; i < kTokens * kOut; ++i) sum += element(y, i) * element(g, i);
    return sum;
  };
  const Tensor x = tensor_of(DType::kF32, {kTokens, kIn}, xv);
  const Tensor dx = Tensor::zeros(DType::kF32, {kTokens, kIn});
  part.backward(ctx, x, g);
  part.backward_input(ctx, g, dx);
  int zeros = 0;
  // The loss is linear in x, so a wide step is exact but for rounding.
  for (size_t i = 0; i < xv.size(); ++i) {
    Doubles above = xv, below = xv;
    above[i] += 0.5;
    below[i] -= 0.5;
    const double slope = loss(above) - loss(below);
    EXPECT_NEAR(element(dx, static_cast<int64_t>(i)), slope, 2e-5) << i;
    zeros += slope == 0 ? 1 : 0;
  }
  EXPECT_GT(zeros, 20) << "of 84, half are left out";
  EXPECT_LT(zeros, 64);
  const double with_mask = loss(xv);
  shared.dropout_key = 78;
  EXPECT_NE(loss(xv), with_mask);
  shared.mode = Mode::kOff;
  EXPECT_EQ(loss(xv), 0);
}

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
    set.set_mode(Mode::kOff);
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
      set.set_mode(Mode::kTrain, 99);
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
