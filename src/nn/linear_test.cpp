#include "nn/linear.h"

#include <gtest/gtest.h>

#include "backend/cpu/cpu_backend.h"

namespace hearth::nn {
namespace {

// Adds the slot's number to every element of the rows it is asked for.
class AddSlot final : public LowRank {
 public:
  bool joins(int32_t) const override { return true; }
  void add(ops::Context&, int32_t slot, TensorView x, TensorView y) override {
    in_ = x.cols();
    for (int64_t row = 0; row < y.rows(); ++row) {
      for (int64_t i = 0; i < y.cols(); ++i) y.row<float>(row)[i] += static_cast<float>(slot);
    }
  }
  int64_t in_ = 0;
};

Tensor matrix(std::initializer_list<float> values, int64_t rows) {
  Tensor tensor(DType::kF32, {rows, static_cast<int64_t>(values.size()) / rows});
  std::copy(values.begin(), values.end(), tensor->as<float>());
  return tensor;
}

class LinearTest : public testing::Test {
 protected:
  LinearTest() {
    linear_.weight = ops::weight_view(weight_);
    linear_.slot = 5;
  }
  float first(LowRank* low_rank) {
    ops::Context ctx = backend_.context();
    Pass pass{ctx, {}, {}, {}, kv_, low_rank};
    return linear_.forward(pass, x_).as<float>()[0];
  }

  backend::cpu::Backend backend_{{.threads = 1}};
  KvCache kv_;
  Tensor weight_ = matrix({1, 2, 3, 4, 5, 6}, 3);
  Tensor x_ = matrix({10, 100}, 1);
  Linear linear_;
};

TEST_F(LinearTest, MultipliesAndAddsTheBias) {
  EXPECT_EQ(first(nullptr), 210);
  linear_.bias = Tensor(DType::kF32, {3});
  std::fill_n(linear_.bias->as<float>(), 3, 7.0f);
  EXPECT_EQ(first(nullptr), 217);
}

TEST_F(LinearTest, AdaptersJoinAtTheirSlot) {
  AddSlot adapter;
  EXPECT_EQ(first(&adapter), 215);
  EXPECT_EQ(adapter.in_, 2);
  linear_.slot = kNoSlot;
  EXPECT_EQ(first(&adapter), 210);
}

}  // namespace
}  // namespace hearth::nn
