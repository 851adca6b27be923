// A low-rank part against plain sums in f64 and their differences.
#include "train/lora_part.h"

#include <cmath>
#include <gtest/gtest.h>

#include "backend/cpu/thread_pool.h"
#include "backend/cpu/train_kernels.h"
#include "base/random.h"

namespace hearth::train {
namespace {

namespace cpu = backend::cpu;
using Doubles = std::vector<double>;
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

class LoraPartTest : public testing::Test {
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

TEST_F(LoraPartTest, PartsAgreeWithPlainSumsAndTheirDifferences) {
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

TEST_F(LoraPartTest, DropoutIsTheSameOnTheWayBack) {
  auto ctx = context();
  Random random(12);
  LoraShared shared;
  shared.mode = LoraShared::Mode::kTrain;
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
  shared.mode = LoraShared::Mode::kOff;
  EXPECT_EQ(loss(xv), 0);
}

}  // namespace
}  // namespace hearth::train
