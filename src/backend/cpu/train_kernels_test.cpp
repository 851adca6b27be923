// Every training kernel of every instruction set of this machine, against plain sums in f64:
// values of the forward passes, and gradients by central differences of a forward pass in f64.
#include "backend/cpu/train_kernels.h"

#include <cmath>
#include <cstring>

#include "backend/cpu/train_test_support.h"

namespace hearth::backend::cpu {
namespace {

class TrainKernels : public EveryTrainKernels {};

Doubles product(const Doubles& a, bool turn_a, const Doubles& b, bool turn_b, int64_t m, int64_t n,
                int64_t k) {
  Doubles c(static_cast<size_t>(m * n));
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t p = 0; p < k; ++p) {
        sum += a[static_cast<size_t>(turn_a ? p * m + i : i * k + p)] *
               b[static_cast<size_t>(turn_b ? j * k + p : p * n + j)];
      }
      c[static_cast<size_t>(i * n + j)] = sum;
    }
  }
  return c;
}

TEST_P(TrainKernels, Matmul) {
  struct Sizes {
    int64_t m, n, k;
  };
  for (const Sizes& s : {Sizes{1, 1, 1},
                         {3, 5, 2},
                         {14, 32, 64},
                         {15, 33, 65},
                         {61, 130, 40},
                         {70, 20, 1100},
                         {130, 600, 31}}) {
    for (int turns = 0; turns < 4; ++turns) {
      const bool turn_a = turns & 1;
      const bool turn_b = turns & 2;
      Doubles a = random_values(random_, s.m * s.k);
      Doubles b = random_values(random_, s.k * s.n);
      const Tensor ta = tensor_of(GetParam().dtype, turn_a ? Shape{s.k, s.m} : Shape{s.m, s.k}, a);
      const Tensor tb = tensor_of(GetParam().dtype, turn_b ? Shape{s.n, s.k} : Shape{s.k, s.n}, b);
      Doubles want = product(a, turn_a, b, turn_b, s.m, s.n, s.k);
      const auto turned = [](bool yes) { return yes ? ops::Transpose::kYes : ops::Transpose::kNo; };
      const std::string what = fmt::format("{}x{}x{} turns {}", s.m, s.n, s.k, turns);
      Tensor c = Tensor::zeros(DType::kF32, {s.m, s.n});
      ops::Matmul args{ta, turned(turn_a), tb, turned(turn_b), c, ops::Store::kReplace};
      ops::matmul(ctx_, args);
      expect_near(c, want, 1e-5, what);
      args.store = ops::Store::kAdd;
      ops::matmul(ctx_, args);
      Doubles twice = want;
      for (double& value : twice) value *= 2;
      expect_near(c, twice, 1e-5, what + " added");
      Tensor narrow = Tensor::zeros(DType::kBF16, {s.m, s.n});
      args.c = narrow;
      args.store = ops::Store::kReplace;
      ops::matmul(ctx_, args);
      expect_near(narrow, want, 5e-3, what + " to bf16");
    }
  }
}

double rms_norm_dot(const Doubles& x, const Doubles& w, const Doubles& dy, int64_t rows, int64_t n,
                    double offset) {
  double sum = 0;
  for (int64_t t = 0; t < rows; ++t) {
    double squares = 0;
    for (int64_t i = 0; i < n; ++i) {
      squares += x[static_cast<size_t>(t * n + i)] * x[static_cast<size_t>(t * n + i)];
    }
    const double r = 1 / std::sqrt(squares / static_cast<double>(n) + 1e-5);
    for (int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<size_t>(t * n + i);
      sum += x[at] * r * (offset + w[static_cast<size_t>(i)]) * dy[at];
    }
  }
  return sum;
}

TEST_P(TrainKernels, RmsNorm) {
  const int64_t rows = 5;
  const int64_t n = 37;
  Doubles x = random_values(random_, rows * n);
  Doubles w = random_values(random_, n);
  Doubles dy = random_values(random_, rows * n);
  const Tensor tx = tensor_of(DType::kF32, {rows, n}, x);
  const Tensor tw = tensor_of(DType::kF32, {n}, w);
  const Tensor tdy = tensor_of(DType::kF32, {rows, n}, dy);
  for (const float offset : {0.0f, 1.0f}) {
    const auto dot = [&](const Doubles& a, const Doubles& b, const Doubles& c) {
      return rms_norm_dot(a, b, c, rows, n, offset);
    };
    const Tensor y(GetParam().dtype, {rows, n});
    const Tensor inverse(DType::kF32, {rows});
    ops::rms_norm_save(ctx_, {tx, tw, 1e-5f, offset, y, inverse});
    // y against the derivative of the dot product by dy, which is linear in it.
    expect_near(y, differences(dy, [&](const Doubles& d) { return dot(x, w, d); }), tolerance(),
                "y");
    const Tensor dx = Tensor::zeros(DType::kF32, {rows, n});
    const Tensor dw = Tensor::zeros(DType::kF32, {n});
    ops::rms_norm_backward(ctx_, {tdy, tx, tw, offset, inverse, dx, dw});
    const Doubles want = differences(x, [&](const Doubles& v) { return dot(v, w, dy); });
    expect_near(dx, want, 2e-5, "dx");
    expect_near(dw.view().reshape({1, n}),
                differences(w, [&](const Doubles& v) { return dot(x, v, dy); }), 2e-5, "dw");
    // Of a frozen norm only dx is wanted.
    const Tensor alone = Tensor::zeros(DType::kF32, {rows, n});
    ops::rms_norm_backward(ctx_, {tdy, tx, tw, offset, inverse, alone, {}});
    expect_near(alone, want, 2e-5, "dx alone");
  }
}

TEST_P(TrainKernels, RopeTurnsAndTurnsBack) {
  const int64_t heads = 3;
  const int64_t d = 8;
  const int64_t half = 3;
  Doubles x = random_values(random_, 4 * heads * d);
  Doubles cos, sin;
  for (int64_t position = 0; position < 10; ++position) {
    for (int64_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(position) / static_cast<double>(1 + i);
      cos.push_back(std::cos(angle));
      sin.push_back(std::sin(angle));
    }
  }
  const Tensor tcos = tensor_of(DType::kF32, {10, half}, cos);
  const Tensor tsin = tensor_of(DType::kF32, {10, half}, sin);
  const Tensor tx = tensor_of(GetParam().dtype, {4, heads, d}, x);
  const std::vector<int32_t> positions = {0, 1, 7, 9};
  Doubles want = x;
  for (size_t t = 0; t < 4; ++t) {
    for (size_t h = 0; h < 3; ++h) {
      for (size_t i = 0; i < 3; ++i) {
        const size_t at = t * 24 + h * 8 + i;
        const auto angle = static_cast<size_t>(positions[t]) * 3 + i;
        want[at] = x[at] * cos[angle] - x[at + 3] * sin[angle];
        want[at + 3] = x[at + 3] * cos[angle] + x[at] * sin[angle];
      }
    }
  }
  ops::rope_turn(ctx_, tx, positions, {tcos, tsin}, ops::Turn::kForward);
  expect_near(tx, want, tolerance(), "forward");
  ops::rope_turn(ctx_, tx, positions, {tcos, tsin}, ops::Turn::kBackward);
  expect_near(tx, x, tolerance(), "back");
}

struct AttentionShape {
  std::vector<int32_t> documents;
  int64_t heads, kv_heads, head_dim;
  int32_t window = 0;
  double softcap = 0;
  int64_t first_key(int64_t begin, int64_t t) const {
    return window > 0 ? std::max(begin, t - window + 1) : begin;
  }
  int64_t tokens() const {
    int64_t sum = 0;
    for (int32_t count : documents) sum += count;
    return sum;
  }
};

// Σ out∘dout in f64; out is also returned where asked for.
double attention_dot(const AttentionShape& s, const Doubles& q, const Doubles& k, const Doubles& v,
                     const Doubles& dout, double scale, Doubles* out) {
  double sum = 0;
  int64_t begin = 0;
  const int64_t d = s.head_dim;
  for (int32_t count : s.documents) {
    for (int64_t t = begin; t < begin + count; ++t) {
      for (int64_t h = 0; h < s.heads; ++h) {
        const int64_t kv = h / (s.heads / s.kv_heads);
        Doubles p;
        double total = 0;
        const int64_t first = s.first_key(begin, t);
        for (int64_t j = first; j <= t; ++j) {
          double score = 0;
          for (int64_t i = 0; i < d; ++i) {
            score += q[static_cast<size_t>((t * s.heads + h) * d + i)] *
                     k[static_cast<size_t>((j * s.kv_heads + kv) * d + i)];
          }
          score *= scale;
          if (s.softcap > 0) score = s.softcap * std::tanh(score / s.softcap);
          p.push_back(std::exp(score));
          total += p.back();
        }
        for (int64_t i = 0; i < d; ++i) {
          double value = 0;
          for (int64_t j = first; j <= t; ++j) {
            value += p[static_cast<size_t>(j - first)] / total *
                     v[static_cast<size_t>((j * s.kv_heads + kv) * d + i)];
          }
          const auto at = static_cast<size_t>((t * s.heads + h) * d + i);
          if (out != nullptr) (*out)[at] = value;
          sum += value * dout[at];
        }
      }
    }
    begin += count;
  }
  return sum;
}

void check_attention(ops::TrainContext& ctx, Random& random, DType dtype, const AttentionShape& s,
                     double tolerance, int64_t gradient_every) {
  const int64_t tokens = s.tokens();
  const Shape q_shape = {tokens, s.heads, s.head_dim};
  const Shape kv_shape = {tokens, s.kv_heads, s.head_dim};
  Doubles q = random_values(random, q_shape.count());
  Doubles k = random_values(random, kv_shape.count());
  Doubles v = random_values(random, kv_shape.count());
  Doubles dout = random_values(random, q_shape.count());
  const Tensor tq = tensor_of(dtype, q_shape, q);
  const Tensor tk = tensor_of(dtype, kv_shape, k);
  const Tensor tv = tensor_of(dtype, kv_shape, v);
  const Tensor tdout = tensor_of(dtype, q_shape, dout);
  const Tensor out(dtype, q_shape);
  const Tensor lse(DType::kF32, {tokens, s.heads});
  std::vector<ops::Segment> segments;
  int32_t begin = 0;
  for (int32_t count : s.documents) {
    segments.push_back({begin, count});
    begin += count;
  }
  const float scale = 0.3f;
  const ops::AttentionSave forward{
      tq, tk, tv, out, lse, segments, scale, s.window, static_cast<float>(s.softcap)};
  ops::attention_save(ctx, forward);
  Doubles want(q.size());
  attention_dot(s, q, k, v, dout, scale, &want);
  expect_near(out, want, tolerance, "out");
  if (gradient_every == 0) return;
  const Tensor dq(dtype, q_shape);
  const Tensor dk(dtype, kv_shape);
  const Tensor dv(dtype, kv_shape);
  ops::attention_backward(ctx, {forward, tdout, dq, dk, dv});
  const auto dot = [&](const Doubles& a, const Doubles& b, const Doubles& c) {
    return attention_dot(s, a, b, c, dout, scale, nullptr);
  };
  expect_near(dq, differences(q, [&](const Doubles& x) { return dot(x, k, v); }), tolerance, "dq");
  expect_near(dk, differences(k, [&](const Doubles& x) { return dot(q, x, v); }), tolerance, "dk");
  expect_near(dv, differences(v, [&](const Doubles& x) { return dot(q, k, x); }), tolerance, "dv");
}

TEST_P(TrainKernels, AttentionOverPackedDocuments) {
  const DType dtype = GetParam().dtype;
  check_attention(ctx_, random_, dtype, {{1, 7, 17}, 4, 2, 6}, tolerance(), 1);
  check_attention(ctx_, random_, dtype, {{5}, 2, 2, 32}, tolerance(), 1);
  check_attention(ctx_, random_, dtype, {{300, 129, 57}, 2, 1, 16}, tolerance(), 0);
}

// Gradients across blocks of keys and queries: documents longer than one block.
TEST_P(TrainKernels, AttentionGradientAcrossBlocks) {
  check_attention(ctx_, random_, GetParam().dtype, {{140}, 1, 1, 2}, tolerance(), 1);
}

TEST_P(TrainKernels, AttentionBehindAWindow) {
  const DType dtype = GetParam().dtype;
  check_attention(ctx_, random_, dtype, {{1, 7, 17}, 4, 2, 6, 5}, tolerance(), 1);
  check_attention(ctx_, random_, dtype, {{9}, 2, 2, 4, 1}, tolerance(), 0);
  check_attention(ctx_, random_, dtype, {{30}, 1, 1, 4, 100}, tolerance(), 1);
  check_attention(ctx_, random_, dtype, {{400, 129, 57}, 2, 1, 16, 131}, tolerance(), 0);
  // Across blocks of keys: whole blocks are out of sight, others begin in the middle.
  check_attention(ctx_, random_, dtype, {{300}, 1, 1, 2, 9}, tolerance(), 1);
  check_attention(ctx_, random_, dtype, {{200}, 1, 1, 2, 130}, tolerance(), 1);
}

TEST_P(TrainKernels, AttentionWithASoftCap) {
  const DType dtype = GetParam().dtype;
  check_attention(ctx_, random_, dtype, {{1, 7, 17}, 4, 2, 6, 0, 0.7}, tolerance(), 1);
  check_attention(ctx_, random_, dtype, {{140}, 1, 1, 2, 33, 2.0}, tolerance(), 1);
}

TEST_P(TrainKernels, CrossEntropy) {
  const int64_t rows = 4;
  const int64_t vocab = 101;
  Doubles logits = random_values(random_, rows * vocab, 3.0);
  const Tensor tlogits = tensor_of(DType::kF32, {rows, vocab}, logits);
  const std::vector<int32_t> targets = {0, 100, ops::kIgnoreTarget, 50};
  const auto loss = [&](const Doubles& z) {
    double sum = 0;
    for (size_t t = 0; t < 4; ++t) {
      if (targets[t] == ops::kIgnoreTarget) continue;
      double total = 0;
      for (size_t i = 0; i < 101; ++i) total += std::exp(z[t * 101 + i]);
      sum += std::log(total) - z[t * 101 + static_cast<size_t>(targets[t])];
    }
    return sum * 0.25;
  };
  const Tensor dlogits(GetParam().dtype, {rows, vocab});
  std::vector<float> losses(4);
  ops::cross_entropy(ctx_, {tlogits, targets, 0.25f, {}, dlogits, losses});
  expect_near(dlogits, differences(logits, loss), tolerance(), "dlogits");
  EXPECT_EQ(losses[2], 0.0f);
  EXPECT_NEAR(0.25 * (losses[0] + losses[1] + losses[3]), loss(logits), 1e-5);
}

TEST_P(TrainKernels, CrossEntropyWeighsRows) {
  Doubles logits = random_values(random_, 2 * 7);
  const Tensor tlogits = tensor_of(DType::kF32, {2, 7}, logits);
  const std::vector<int32_t> targets = {3, 6};
  const std::vector<float> weights = {-2.0f, 0.5f};
  const auto loss = [&](const Doubles& z) {
    double sum = 0;
    for (size_t t = 0; t < 2; ++t) {
      double total = 0;
      for (size_t i = 0; i < 7; ++i) total += std::exp(z[t * 7 + i]);
      sum += weights[t] * (std::log(total) - z[t * 7 + static_cast<size_t>(targets[t])]);
    }
    return sum;
  };
  const Tensor dlogits(GetParam().dtype, {2, 7});
  std::vector<float> losses(2);
  ops::cross_entropy(ctx_, {tlogits, targets, 1.0f, weights, dlogits, losses});
  expect_near(dlogits, differences(logits, loss), tolerance(), "dlogits");
  EXPECT_NEAR(-2.0 * losses[0] + 0.5 * losses[1], loss(logits), 1e-5);
}

TEST_P(TrainKernels, EmbedRows) {
  Doubles values = random_values(random_, 9 * 70);
  const Tensor table = tensor_of(GetParam().dtype, {9, 70}, values);
  const std::vector<int32_t> ids = {8, 0, 3};
  const Tensor y = Tensor::zeros(DType::kF32, {3, 70});
  ops::embed_rows(ctx_, {ids, table, 3.0f, y, ops::Store::kReplace});
  ops::embed_rows(ctx_, {ids, table, 0.5f, y, ops::Store::kAdd});
  Doubles want;
  for (int32_t id : ids) {
    for (size_t i = 0; i < 70; ++i) want.push_back(3.5 * values[static_cast<size_t>(id) * 70 + i]);
  }
  expect_near(y, want, 1e-6, "y");
}

TEST_P(TrainKernels, EmbedBackward) {
  Doubles dy = random_values(random_, 5 * 70);
  const Tensor tdy = tensor_of(DType::kF32, {5, 70}, dy);
  const Tensor table = Tensor::zeros(DType::kF32, {9, 70});
  const std::vector<int32_t> ids = {8, 0, 8, 3, 8};
  ops::embed_backward(ctx_, {ids, tdy, 3.0f, table});
  Doubles want(9 * 70);
  for (size_t t = 0; t < 5; ++t) {
    for (size_t i = 0; i < 70; ++i)
      want[static_cast<size_t>(ids[t]) * 70 + i] += 3 * dy[t * 70 + i];
  }
  expect_near(table, want, 1e-6, "dtable");
}

TEST_P(TrainKernels, AdamwAndSumOfSquares) {
  const int64_t n = 40000;
  Doubles p = random_values(random_, n);
  Doubles g = random_values(random_, n);
  Doubles m = random_values(random_, n, 0.1);
  Doubles v(static_cast<size_t>(n));
  double squares = 0;
  for (double& value : v) value = random_.uniform();
  const Tensor tp = tensor_of(DType::kF32, {n}, p);
  const Tensor tg = tensor_of(DType::kF32, {n}, g);
  const Tensor tm = tensor_of(DType::kF32, {n}, m);
  const Tensor tv = tensor_of(DType::kF32, {n}, v);
  for (double value : g) squares += value * value;
  EXPECT_NEAR(ops::sum_squares(ctx_, tg), squares, 1e-5 * squares);
  ops::adamw(ctx_, {tp, tg, tm, tv, 0.5f, 0.01f, 0.1f, 0.9f, 0.99f, 1e-8f, 0.3f, 0.4f});
  for (size_t i = 0; i < p.size(); ++i) {
    m[i] = 0.9 * m[i] + 0.1 * 0.5 * g[i];
    v[i] = 0.99 * v[i] + 0.01 * 0.25 * g[i] * g[i];
    p[i] -= 0.01 * (m[i] / 0.3) / (std::sqrt(v[i] / 0.4) + 1e-8) + 0.01 * 0.1 * p[i];
  }
  expect_near(tp, p, 1e-5, "parameter");
  expect_near(tm, m, 1e-5, "first");
  expect_near(tv, v, 1e-5, "second");
}

// Sums have one order, whoever computes them.
TEST_P(TrainKernels, ThreadsChangeNoBit) {
  ThreadPool three(3);
  ops::TrainContext many{*GetParam().kernels, three, scratch_};
  Doubles a = random_values(random_, 130 * 70);
  Doubles b = random_values(random_, 600 * 70);
  const Tensor ta = tensor_of(GetParam().dtype, {130, 70}, a);
  const Tensor tb = tensor_of(GetParam().dtype, {600, 70}, b);
  const Tensor one = Tensor::zeros(DType::kF32, {130, 600});
  const Tensor other = Tensor::zeros(DType::kF32, {130, 600});
  const auto kNo = ops::Transpose::kNo;
  const auto kYes = ops::Transpose::kYes;
  ops::matmul(ctx_, {ta, kNo, tb, kYes, one, ops::Store::kReplace});
  ops::matmul(many, {ta, kNo, tb, kYes, other, ops::Store::kReplace});
  EXPECT_EQ(std::memcmp(one->data, other->data, 130 * 600 * sizeof(float)), 0);
}

INSTANTIATE_TEST_SUITE_P(Here, TrainKernels, testing::ValuesIn(train_cases()), train_case_name);

}  // namespace
}  // namespace hearth::backend::cpu
