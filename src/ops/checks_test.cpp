// A wrong argument stops the process and says which op, which argument, and what was expected.
#include "ops/checks.h"

#include <functional>
#include <gtest/gtest.h>

namespace hearth::ops {
namespace {

class NoWorkers final : public Workers {
 public:
  int count() const override { return 1; }
  void run(int64_t, const std::function<void(int64_t, int)>&) override {}
};

class NoArena final : public Arena {
 public:
  void* allocate(size_t) override { return nullptr; }
  void reset() override {}
  Mark mark() const override { return {}; }
  void release(Mark) override {}
};

class ChecksDeathTest : public testing::Test {
 protected:
  NoWorkers workers_;
  NoArena arena_;
  Kernels kernels_{.name = "empty"};
  Context ctx_{kernels_, workers_, arena_};
  Tensor x_ = Tensor::zeros(DType::kF32, {2, 8});
  Tensor w_ = Tensor::zeros(DType::kBF16, {4, 8});
  Tensor y_ = Tensor::zeros(DType::kF32, {2, 4});
};

TEST_F(ChecksDeathTest, LinearNamesTheArgument) {
  const Weight weight = weight_view(w_);
  EXPECT_DEATH(linear(ctx_, y_, weight, {}, y_), "linear x: expected \\[tokens, 8\\]");
  EXPECT_DEATH(linear(ctx_, x_, weight, {}, x_), "linear y: expected \\[2, 4\\], came \\[2, 8\\]");
  EXPECT_DEATH(linear(ctx_, x_, weight, y_, y_), "linear bias: expected f32 \\[4\\]");
}

TEST_F(ChecksDeathTest, AMissingKernelNamesTheBackend) {
  EXPECT_DEATH(linear(ctx_, x_, weight_view(w_), {}, y_), "linear: no kernel in backend empty");
}

TEST_F(ChecksDeathTest, IdsStayInsideTheTable) {
  const int32_t ids[] = {3, 4};
  EXPECT_DEATH(embed(ctx_, ids, weight_view(w_), 1.0f, x_), "embed: id 4 of 4");
}

TEST_F(ChecksDeathTest, HeadsShareKvHeadsEvenly) {
  const Tensor keys = Tensor::zeros(DType::kF32, {1, 2, 8, kKvBlockTokens});
  const Tensor values = Tensor::zeros(DType::kF32, {1, 2, kKvBlockTokens, 8});
  const Tensor q = Tensor::zeros(DType::kF32, {1, 3, 8});
  EXPECT_DEATH(attention(ctx_, q, {}, {keys, values, 2, 8}, {}, q), "3 heads over 2 kv heads");
  EXPECT_DEATH(attention(ctx_, q, {}, {keys, keys, 2, 8}, {}, q), "kv values: expected");
}

}  // namespace
}  // namespace hearth::ops
