#include "nn/mlp.h"

#include <cstring>
#include <gtest/gtest.h>

#include "backend/cpu/cpu_backend.h"
#include "nn/norm.h"
#include "ops/quantize.h"
#include "tensor/random_tensor.h"

namespace hearth::nn {
namespace {

// Joins some projections, adds nothing, and remembers what it was shown.
class Onlooker final : public LowRank {
 public:
  explicit Onlooker(std::vector<int32_t> slots) : slots_(std::move(slots)) {}
  bool joins(int32_t slot) const override {
    return std::find(slots_.begin(), slots_.end(), slot) != slots_.end();
  }
  void add(ops::Context&, int32_t slot, TensorView x, TensorView) override {
    seen_.push_back(slot);
    first_ = x.as<float>()[0];
  }
  std::vector<int32_t> slots_, seen_;
  float first_ = 0;
};

constexpr int64_t kHidden = 96, kInner = 64, kRows = 9;
constexpr int32_t kGate = 1, kUp = 2, kDown = 3;

class GatedMlpTest : public testing::TestWithParam<ops::WeightFormat> {
 protected:
  GatedMlpTest() {
    norm_.weight = random_tensor(random_, {kHidden});
    gate_up_ = random_tensor(random_, {2 * kInner, kHidden});
    bias_ = random_tensor(random_, {2 * kInner});
    down_ = random_tensor(random_, {kHidden, kInner});
    apart_.gate = linear(gate_up_->slice_rows(0, kInner), kGate);
    apart_.up = linear(gate_up_->slice_rows(kInner, 2 * kInner), kUp);
    apart_.gate.bias = copy(bias_->slice_rows(0, kInner));
    apart_.up.bias = copy(bias_->slice_rows(kInner, 2 * kInner));
    apart_.down = linear(down_, kDown);
  }
  Linear linear(TensorView matrix, int32_t slot) const {
    Linear made;
    made.weight = ops::quantized(GetParam()) ? ops::quantize(matrix, GetParam(), 1, "w")
                                             : ops::weight_view(matrix);
    made.slot = slot;
    return made;
  }
  static Tensor copy(TensorView from) {
    Tensor to(DType::kF32, from.shape);
    std::memcpy(to->data, from.data, static_cast<size_t>(from.shape.count()) * sizeof(float));
    return to;
  }
  template <typename Block>
  std::vector<float> run(const Block& mlp, LowRank* low_rank = nullptr) {
    ops::Context ctx = backend_.context();
    ctx.arena.reset();
    Pass pass{ctx, {}, {}, {}, kv_, low_rank};
    const TensorView y = mlp.forward(pass, norm_.deferred(x_));
    return {y.as<float>(), y.as<float>() + y.shape.count()};
  }

  backend::cpu::Backend backend_{{.threads = 2}};
  KvCache kv_;
  Random random_{41};
  Tensor x_ = random_tensor(random_, {kRows, kHidden});
  Tensor gate_up_, bias_, down_;
  RmsNorm norm_;
  GatedMlp apart_;
};
INSTANTIATE_TEST_SUITE_P(Nn, GatedMlpTest,
                         testing::Values(ops::WeightFormat::kF32, ops::WeightFormat::kQ8,
                                         ops::WeightFormat::kQ4),
                         [](const auto& format) { return ops::to_string(format.param); });

// Whichever projection an adapter of the batch joins, rows without one do not notice.
TEST_P(GatedMlpTest, AdaptersBesideARowDoNotChangeIt) {
  const std::vector<float> alone = run(apart_);
  for (const std::vector<int32_t>& slots :
       {std::vector<int32_t>{kGate}, {kUp}, {kDown}, {kGate, kUp, kDown}, {}}) {
    Onlooker onlooker(slots);
    EXPECT_EQ(run(apart_, &onlooker), alone);
    EXPECT_EQ(onlooker.seen_, slots);
  }
}

TEST_P(GatedMlpTest, AdaptersReadNormedRows) {
  Onlooker onlooker({kGate});
  run(apart_, &onlooker);
  ops::Context ctx = backend_.context();
  EXPECT_EQ(onlooker.first_, ops::normed(ctx, norm_.deferred(x_)).as<float>()[0]);
}

TEST_P(GatedMlpTest, OneMatrixForBothGivesTheSame) {
  FusedGatedMlp fused;
  fused.gate_up = linear(gate_up_, kGate);
  fused.gate_up.bias = copy(bias_);
  fused.down = linear(down_, kDown);
  const std::vector<float> y = run(fused);
  EXPECT_EQ(y, run(apart_));
  Onlooker onlooker({kGate});
  EXPECT_EQ(run(fused, &onlooker), y);
  EXPECT_EQ(onlooker.seen_, std::vector<int32_t>{kGate});
}

// Quantised outputs lie in blocks of sixteen: half of 40 is inside of one.
TEST_P(GatedMlpTest, AMatrixThatCannotBeCutGivesTheSameToo) {
  FusedGatedMlp fused;
  fused.gate_up = linear(gate_up_->slice_rows(0, 40), kGate);
  fused.down = linear(down_->slice_cols(0, 20), kDown);
  EXPECT_EQ(ops::view_of_outputs(fused.gate_up.weight, 20, 40).has_value(),
            !ops::quantized(GetParam()));
  apart_.gate = linear(gate_up_->slice_rows(0, 20), kGate);
  apart_.up = linear(gate_up_->slice_rows(20, 40), kUp);
  apart_.down = linear(down_->slice_cols(0, 20), kDown);
  EXPECT_EQ(run(fused), run(apart_));
}

}  // namespace
}  // namespace hearth::nn
