// The training kernels that work row by row (norms, activations, biases, caps), and the unpacking
// of quantised weights: against plain sums in f64 and central differences, on every instruction
// set.
#include <cmath>

#include "backend/cpu/train_test_support.h"
#include "ops/quantize.h"

namespace hearth::backend::cpu {
namespace {

class TrainOps : public EveryTrainKernels {};

// Σ dy∘norm(x) over rows of n elements, in f64.
struct NormDot {
  ops::NormKind kind = ops::NormKind::kLayer;
  int64_t rows = 0;
  int64_t n = 0;
  double offset = 0;
  double epsilon = 1e-5;

  double operator()(const Doubles& x, const Doubles& w, const Doubles& b, const Doubles& dy) const {
    double sum = 0;
    for (int64_t t = 0; t < rows; ++t) {
      const double* row = x.data() + t * n;
      double mean = 0;
      for (int64_t i = 0; i < n; ++i) mean += row[i] / static_cast<double>(n);
      if (kind == ops::NormKind::kRms) mean = 0;
      double squares = 0;
      for (int64_t i = 0; i < n; ++i) squares += (row[i] - mean) * (row[i] - mean);
      const double r = 1 / std::sqrt(squares / static_cast<double>(n) + epsilon);
      for (int64_t i = 0; i < n; ++i) {
        const auto at = static_cast<size_t>(i);
        const double y = (row[i] - mean) * r * (offset + w[at]) + (b.empty() ? 0 : b[at]);
        sum += y * dy[static_cast<size_t>(t * n + i)];
      }
    }
    return sum;
  }
};

TEST_P(TrainOps, LayerNorm) {
  const NormDot dot{.rows = 5, .n = 37};
  const Shape shape = {dot.rows, dot.n};
  Doubles x = random_values(random_, shape.count());
  for (double& value : x) value += 3;  // a mean far from zero
  Doubles w = random_values(random_, dot.n);
  Doubles b = random_values(random_, dot.n);
  Doubles dy = random_values(random_, shape.count());
  const Tensor tx = tensor_of(DType::kF32, shape, x);
  const Tensor tw = tensor_of(DType::kF32, {dot.n}, w);
  const Tensor tb = tensor_of(DType::kF32, {dot.n}, b);
  const Tensor tdy = tensor_of(DType::kF32, shape, dy);
  const Tensor y(GetParam().dtype, shape);
  const Tensor mean(DType::kF32, {dot.rows});
  const Tensor inverse(DType::kF32, {dot.rows});
  ops::layer_norm_save(ctx_, {tx, tw, tb, 1e-5f, y, mean, inverse});
  expect_near(y, differences(dy, [&](const Doubles& d) { return dot(x, w, b, d); }), tolerance(),
              "y");
  const Tensor dx = Tensor::zeros(DType::kF32, shape);
  const Tensor dw = Tensor::zeros(DType::kF32, {dot.n});
  const Tensor db = Tensor::zeros(DType::kF32, {dot.n});
  ops::layer_norm_backward(ctx_, {tdy, tx, tw, mean, inverse, dx, dw, db});
  const Doubles want = differences(x, [&](const Doubles& v) { return dot(v, w, b, dy); });
  expect_near(dx, want, 5e-5, "dx");
  expect_near(dw.view().reshape({1, dot.n}),
              differences(w, [&](const Doubles& v) { return dot(x, v, b, dy); }), 5e-5, "dw");
  expect_near(db.view().reshape({1, dot.n}),
              differences(b, [&](const Doubles& v) { return dot(x, w, v, dy); }), 5e-5, "db");
  const Tensor alone = Tensor::zeros(DType::kF32, shape);
  ops::layer_norm_backward(ctx_, {tdy, tx, tw, mean, inverse, alone, {}, {}});
  expect_near(alone, want, 5e-5, "dx alone");
}

// Heads of rows that are wider than the heads: a slice of fused queries, keys and values.
TEST_P(TrainOps, HeadNorm) {
  const int64_t tokens = 4;
  const int64_t heads = 3;
  const int64_t n = 10;
  const int64_t stride = heads * n + 7;
  const DType dtype = GetParam().dtype;
  for (const auto kind : {ops::NormKind::kRms, ops::NormKind::kLayer}) {
    const bool layer = kind == ops::NormKind::kLayer;
    const NormDot dot{.kind = kind, .rows = tokens * heads, .n = n, .offset = layer ? 0.0 : 1.0};
    Doubles wide = random_values(random_, tokens * stride);
    const Tensor twide = tensor_of(dtype, {tokens, stride}, wide);
    TensorView tx = twide.view().slice_cols(0, heads * n);
    tx.shape = {tokens, heads, n};
    Doubles x;
    for (int64_t t = 0; t < tokens; ++t) {
      x.insert(x.end(), wide.begin() + t * stride, wide.begin() + t * stride + heads * n);
    }
    Doubles w = random_values(random_, n);
    Doubles b = layer ? random_values(random_, n) : Doubles{};
    Doubles dy = random_values(random_, tokens * heads * n);
    const Tensor tw = tensor_of(DType::kF32, {n}, w);
    const Tensor tb = layer ? tensor_of(DType::kF32, {n}, b) : Tensor();
    const Tensor tdy = tensor_of(dtype, {tokens, heads, n}, dy);
    const Tensor y(dtype, {tokens, heads, n});
    const ops::HeadNorm forward{kind, tx, tw, tb, 1e-5f, static_cast<float>(dot.offset), y};
    ops::head_norm(ctx_, forward);
    expect_near(y, differences(dy, [&](const Doubles& d) { return dot(x, w, b, d); }), tolerance(),
                "y");
    const Doubles want = differences(x, [&](const Doubles& v) { return dot(v, w, b, dy); });
    const Doubles want_w = differences(w, [&](const Doubles& v) { return dot(x, v, b, dy); });
    const Tensor dw = Tensor::zeros(DType::kF32, {n});
    const Tensor db = layer ? Tensor::zeros(DType::kF32, {n}) : Tensor();
    ops::head_norm_backward(ctx_, {forward, tdy, tdy, dw, db});  // in place
    expect_near(tdy, want, tolerance(), "dx");
    expect_near(dw.view().reshape({1, n}), want_w, 5e-5, "dw");
    if (!layer) continue;
    const Doubles want_b = differences(b, [&](const Doubles& v) { return dot(x, w, v, dy); });
    expect_near(db.view().reshape({1, n}), want_b, 5e-5, "db");
  }
}

double activation(ops::Activation which, double x) {
  switch (which) {
    case ops::Activation::kSilu:
      return x / (1 + std::exp(-x));
    case ops::Activation::kGelu:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case ops::Activation::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case ops::Activation::kRelu:
      return x > 0 ? x : 0;
  }
  return 0;
}

constexpr ops::Activation kEveryActivation[] = {ops::Activation::kSilu, ops::Activation::kGelu,
                                                ops::Activation::kGeluTanh, ops::Activation::kRelu};

TEST_P(TrainOps, Activate) {
  const Shape shape = {3, 41};
  const DType dtype = GetParam().dtype;
  for (const ops::Activation which : kEveryActivation) {
    Doubles x = random_values(random_, shape.count(), 2.0);
    Doubles dy = random_values(random_, shape.count());
    const Tensor tx = tensor_of(dtype, shape, x);
    const Tensor tdy = tensor_of(dtype, shape, dy);
    const auto dot = [&](const Doubles& a, const Doubles& d) {
      double sum = 0;
      for (size_t i = 0; i < a.size(); ++i) sum += activation(which, a[i]) * d[i];
      return sum;
    };
    const Tensor y(dtype, shape);
    ops::activate_save(ctx_, which, tx, y);
    expect_near(y, differences(dy, [&](const Doubles& d) { return dot(x, d); }), tolerance(), "y");
    ops::activate_backward(ctx_, {which, tdy, tx, tx});  // in place
    expect_near(tx, differences(x, [&](const Doubles& v) { return dot(v, dy); }), tolerance(),
                "dx");
  }
}

TEST_P(TrainOps, GatedActivate) {
  const Shape shape = {3, 41};
  const DType dtype = GetParam().dtype;
  for (const ops::Activation which : kEveryActivation) {
    Doubles gate = random_values(random_, shape.count(), 2.0);
    Doubles up = random_values(random_, shape.count());
    Doubles dy = random_values(random_, shape.count());
    const Tensor tgate = tensor_of(dtype, shape, gate);
    const Tensor tup = tensor_of(dtype, shape, up);
    const Tensor tdy = tensor_of(dtype, shape, dy);
    const auto dot = [&](const Doubles& g, const Doubles& u, const Doubles& d) {
      double sum = 0;
      for (size_t i = 0; i < g.size(); ++i) sum += activation(which, g[i]) * u[i] * d[i];
      return sum;
    };
    const Tensor y(dtype, shape);
    ops::gated_activate_save(ctx_, which, tgate, tup, y);
    expect_near(y, differences(dy, [&](const Doubles& d) { return dot(gate, up, d); }), tolerance(),
                "y");
    const Tensor dgate(dtype, shape);
    const Tensor dup(dtype, shape);
    ops::gated_activate_backward(ctx_, {which, tdy, tgate, tup, dgate, dup});
    expect_near(dgate, differences(gate, [&](const Doubles& g) { return dot(g, up, dy); }),
                tolerance(), "dgate");
    expect_near(dup, differences(up, [&](const Doubles& u) { return dot(gate, u, dy); }),
                tolerance(), "dup");
  }
}

// More rows than one span of partial sums.
TEST_P(TrainOps, Bias) {
  const Shape shape = {600, 13};
  Doubles bias = random_values(random_, shape[1]);
  Doubles y = random_values(random_, shape.count());
  const Tensor tbias = tensor_of(DType::kF32, {shape[1]}, bias);
  const Tensor ty = tensor_of(GetParam().dtype, shape, y);
  const Tensor dbias = Tensor::zeros(DType::kF32, {shape[1]});
  ops::bias_backward(ctx_, ty, dbias);
  Doubles sums(static_cast<size_t>(shape[1]));
  for (size_t i = 0; i < y.size(); ++i) {
    sums[i % 13] += y[i];
    y[i] += bias[i % 13];
  }
  expect_near(dbias.view().reshape({1, shape[1]}), sums, 1e-5, "dbias");
  ops::bias_add(ctx_, tbias, ty);
  expect_near(ty, y, tolerance(), "y");
}

TEST_P(TrainOps, Accumulate) {
  for (const DType to : {DType::kF32, DType::kBF16}) {
    Doubles x = random_values(random_, 300 * 7);
    Doubles y = random_values(random_, 300 * 7);
    const Tensor tx = tensor_of(GetParam().dtype, {300, 7}, x);
    const Tensor ty = tensor_of(to, {300, 7}, y);
    ops::accumulate(ctx_, tx, ty);
    for (size_t i = 0; i < x.size(); ++i) y[i] += x[i];
    expect_near(ty, y, to == DType::kBF16 ? 5e-3 : 1e-6, "y");
  }
}

TEST_P(TrainOps, SoftCap) {
  const Shape shape = {3, 29};
  constexpr double kCap = 1.5;
  Doubles x = random_values(random_, shape.count(), 3.0);
  Doubles dy = random_values(random_, shape.count());
  const Tensor tx = tensor_of(DType::kF32, shape, x);
  const Tensor tdy = tensor_of(GetParam().dtype, shape, dy);
  const auto dot = [&](const Doubles& v, const Doubles& d) {
    double sum = 0;
    for (size_t i = 0; i < v.size(); ++i) sum += kCap * std::tanh(v[i] / kCap) * d[i];
    return sum;
  };
  ops::soft_cap_save(ctx_, static_cast<float>(kCap), tx);
  expect_near(tx, differences(dy, [&](const Doubles& d) { return dot(x, d); }), 1e-6, "y");
  ops::soft_cap_backward(ctx_, static_cast<float>(kCap), tx, tdy);
  expect_near(tdy, differences(x, [&](const Doubles& v) { return dot(v, dy); }), tolerance(), "dx");
}

// Sizes that are no multiples of a block of outputs or a group of elements.
TEST_P(TrainOps, UnpackGivesLevelsTimesScales) {
  for (const auto format : {ops::WeightFormat::kQ8, ops::WeightFormat::kQ4}) {
    const Shape shape = {37, 77};
    Doubles values = random_values(random_, shape.count());
    const Tensor matrix = tensor_of(DType::kF32, shape, values);
    const ops::Weight weight = ops::quantize(matrix, format, 1, "test");
    Doubles want;
    for (int64_t o = 0; o < shape[0]; ++o) {
      for (int64_t i = 0; i < shape[1]; ++i) {
        want.push_back(double{ops::quant_scale(weight, o, i)} * ops::quant_level(weight, o, i));
      }
    }
    const Tensor y(GetParam().dtype, shape);
    ops::unpack(ctx_, weight, y);
    expect_near(y, want, GetParam().dtype == DType::kBF16 ? 4e-3 : 1e-7, to_string(format));
  }
}

INSTANTIATE_TEST_SUITE_P(Here, TrainOps, testing::ValuesIn(train_cases()), train_case_name);

}  // namespace
}  // namespace hearth::backend::cpu
