// A projection with adapters: what they add, their gradients, and what a frozen base does without.
#include "train/linear.h"

#include <gtest/gtest.h>

#include "backend/cpu/thread_pool.h"
#include "backend/cpu/train_kernels.h"
#include "io/json.h"
#include "ops/accumulate.h"
#include "train/gradient_check.h"

namespace hearth::train {
namespace {

// B A x in plain products, rank 2.
class PlainPart final : public LowRankPart {
 public:
  PlainPart(const Projection& projection, Parameters& parameters)
      : parameters_(parameters),
        out_(projection.out),
        a_(add(projection.name + ".lora_A", kRank, projection.in)),
        b_(add(projection.name + ".lora_B", projection.out, kRank)) {}

  void forward(ops::TrainContext& ctx, TensorView x, TensorView weight, TensorView y) override {
    EXPECT_EQ(weight.shape, (Shape{out_, x.cols()}));
    const Tensor low = product(ctx, x, parameters_.compute(a_), ops::Transpose::kYes);
    const Tensor added = product(ctx, low, parameters_.compute(b_), ops::Transpose::kYes);
    ops::accumulate(ctx, added, y);
  }
  void backward(ops::TrainContext& ctx, TensorView x, TensorView dy) override {
    const auto kNo = ops::Transpose::kNo;
    const auto kYes = ops::Transpose::kYes;
    const Tensor low = product(ctx, x, parameters_.compute(a_), kYes);
    ops::matmul(ctx, {dy, kYes, low, kNo, parameters_.gradient(b_), ops::Store::kAdd});
    const Tensor dlow = product(ctx, dy, parameters_.compute(b_), kNo);
    ops::matmul(ctx, {dlow, kYes, x, kNo, parameters_.gradient(a_), ops::Store::kAdd});
  }
  void backward_input(ops::TrainContext& ctx, TensorView dy, TensorView dx) override {
    const Tensor dlow = product(ctx, dy, parameters_.compute(b_), ops::Transpose::kNo);
    ops::accumulate(ctx, product(ctx, dlow, parameters_.compute(a_), ops::Transpose::kNo), dx);
  }

 private:
  static constexpr int64_t kRank = 2;

  size_t add(const std::string& name, int64_t rows, int64_t cols) {
    Parameter p{.rows = rows, .cols = cols, .initial_deviation = 0.3f};
    p.pieces = {{name, 0, rows}};
    return parameters_.add(std::move(p));
  }
  static Tensor product(ops::TrainContext& ctx, TensorView a, TensorView b, ops::Transpose turn_b) {
    const int64_t n = turn_b == ops::Transpose::kYes ? b.rows() : b.cols();
    Tensor y(DType::kF32, {a.rows(), n});
    ops::matmul(ctx, {a, ops::Transpose::kNo, b, turn_b, y, ops::Store::kReplace});
    return y;
  }

  Parameters& parameters_;
  int64_t out_;
  size_t a_, b_;
};

class PlainMaker final : public LowRankMaker {
 public:
  std::unique_ptr<LowRankPart> make(const Projection& projection, Parameters& parameters) override {
    names.push_back(projection.name);
    if (projection.name.ends_with("k_proj")) return nullptr;
    return std::make_unique<PlainPart>(projection, parameters);
  }
  std::vector<std::string> names;
};

class LinearTest : public testing::TestWithParam<Training> {
 protected:
  static io::Json config() {
    return {
        {"model_type", "qwen2"},       {"vocab_size", 31},        {"hidden_size", 16},
        {"intermediate_size", 24},     {"num_hidden_layers", 2},  {"num_attention_heads", 4},
        {"num_key_value_heads", 2},    {"rms_norm_eps", 1e-5},    {"max_position_embeddings", 32},
        {"tie_word_embeddings", true}, {"initializer_range", 0.3}};
  }
  // Frozen weights out of thin air: those of a trained twin.
  static void fill(ModelWeights& to, Model& from) {
    for (size_t i = 0; i < to.own().size(); ++i) {
      const WeightId id = to.own()[i];
      const TensorView master = from.weights().parameters.master(from.weights().own()[i].index);
      if (ModelWeights::trained(id)) {
        std::copy_n(master.as<float>(), master.shape.count(),
                    to.parameters.master(id.index).as<float>());
        continue;
      }
      FrozenParameter& frozen = to.frozen[id.index];
      if (frozen.shape.kind == ParameterKind::kVector) {
        frozen.vector = Tensor(DType::kF32, {frozen.shape.count()});
        std::copy_n(master.as<float>(), master.shape.count(), frozen.vector->as<float>());
        continue;
      }
      for (const ParameterPiece& piece : frozen.shape.pieces) {
        frozen.pieces.push_back(
            ops::weight_view(master.slice_rows(piece.row_begin, piece.row_begin + piece.rows)));
      }
    }
  }

  backend::cpu::ThreadPool pool_{1};
  ops::Scratch scratch_;
  ops::TrainContext ctx_{backend::cpu::train_kernels(), pool_, scratch_};
};

TEST_P(LinearTest, GradientsOfAdaptersAndOfWhatIsTrained) {
  const auto twin = make_model(config(), {.compute = DType::kF32}, "test");
  Random random(5);
  twin->parameters().initialise(random);
  PlainMaker maker;
  const auto model = make_model(
      config(), {.compute = DType::kF32, .training = GetParam(), .low_rank = &maker}, "test");
  EXPECT_EQ(maker.names.size(), 2u * 7u);
  EXPECT_EQ(maker.names.front(), "model.layers.0.self_attn.q_proj");
  Parameters& parameters = model->parameters();
  parameters.initialise(random);
  fill(model->weights(), *twin);
  const bool frozen = GetParam() == Training::kFrozen;
  if (frozen) {
    EXPECT_EQ(parameters.list().size(), 2u * 6u * 2u);  // A and B
  }
  Batch batch;
  batch.append(std::vector<int32_t>{1, 5, 9, 30, 2, 2, 7, 11});
  batch.append(std::vector<int32_t>{3, 8, 21, 4});
  check_gradients(*model, ctx_, batch, 3e-3, 1e-2);
}

// Where an adapter's B is zero the model is the base, bit for bit.
TEST_P(LinearTest, AnAdapterOfZeroChangesNothing) {
  const auto twin = make_model(config(), {.compute = DType::kF32}, "test");
  Random random(5);
  twin->parameters().initialise(random);
  PlainMaker maker;
  const auto model = make_model(
      config(), {.compute = DType::kF32, .training = GetParam(), .low_rank = &maker}, "test");
  fill(model->weights(), *twin);  // what the adapters added stays zero
  const std::vector<int32_t> tokens = {1, 5, 9, 30, 2};
  std::vector<float> want(31);
  std::vector<float> got(31);
  twin->next_logits(ctx_, tokens, want);
  model->next_logits(ctx_, tokens, got);
  EXPECT_EQ(got, want);
}

INSTANTIATE_TEST_SUITE_P(Base, LinearTest, testing::Values(Training::kTrained, Training::kFrozen),
                         [](const auto& test) {
                           return test.param == Training::kTrained ? "trained" : "frozen";
                         });

}  // namespace
}  // namespace hearth::train
