#include "ops/attention.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <limits>
#include <numeric>

#include "backend/cpu/rows.h"
#include "backend/cpu/test_support.h"

namespace hearth::backend::cpu {
namespace {

using ops::KvPages;
using ops::KvSequence;

constexpr int64_t kBlock = ops::kKvBlockTokens;

struct Shapes {
  int64_t heads, kv_heads, head_dim;
  DType dtype;
};

// One sequence with its pages in shuffled blocks; unused memory is NaN, so that reading it shows.
struct Scene {
  Shapes shapes;
  int64_t tokens;
  Tensor q, k, v;  // [tokens, heads | kv_heads, head_dim]
  Tensor keys, values;
  std::vector<int32_t> blocks;
  KvPages pages;

  Scene(Random& random, Shapes s, int64_t n)
      : shapes(s),
        tokens(n),
        q(random_tensor(random, {n, s.heads, s.head_dim})),
        k(random_tensor(random, {n, s.kv_heads, s.head_dim})),
        v(random_tensor(random, {n, s.kv_heads, s.head_dim})) {
    const int64_t count = (n + kBlock - 1) / kBlock + 3;
    const int64_t bytes = ops::kv_bytes(s.dtype, count, s.kv_heads, s.head_dim);
    const auto elements = bytes / static_cast<int64_t>(dtype_bytes(s.dtype));
    keys = Tensor(s.dtype, {elements});
    values = Tensor(s.dtype, {elements});
    for (const TensorView& t : {keys.view(), values.view()}) {
      std::memset(t.data, 0xff, static_cast<size_t>(t.shape.count()) * dtype_bytes(s.dtype));
    }
    blocks.resize(static_cast<size_t>(count));
    std::iota(blocks.begin(), blocks.end(), 0);
    random.shuffle(std::span(blocks));
    pages = ops::kv_pages(keys->data, values->data, s.dtype, count, s.kv_heads, s.head_dim);
  }

  KvSequence sequence(int64_t row, int64_t count, int64_t position) const {
    return {static_cast<int32_t>(row), static_cast<int32_t>(count), static_cast<int32_t>(position),
            blocks.data()};
  }

  void store(ops::Context& ctx) {
    const KvSequence all = sequence(0, tokens, 0);
    ops::kv_store(ctx, k, v, {&all, 1}, pages);
  }

  Tensor attend(ops::Context& ctx, const ops::Attention& attention) const {
    Tensor out(DType::kF32, q->shape);
    const KvSequence all = sequence(0, tokens, 0);
    ops::attention(ctx, q, {&all, 1}, pages, attention, out);
    return out;
  }
};

class AttentionOp : public EveryIsa {};
INSTANTIATE_TEST_SUITE_P(Cpu, AttentionOp, testing::ValuesIn(isa_levels()), isa_name);

TEST_P(AttentionOp, TwoTokensByHand) {
  // One head of two dimensions. The second row's scores are 0 and ln 3: weights 1/4 and 3/4.
  float q[] = {5, 7, 1, 0}, k[] = {0, 9, std::log(3.0f), 9}, v[] = {4, 8, 0, 16};
  Random random(1);
  Scene scene(random, {1, 1, 2, DType::kF32}, 2);
  std::memcpy(scene.q->data, q, sizeof(q));
  std::memcpy(scene.k->data, k, sizeof(k));
  std::memcpy(scene.v->data, v, sizeof(v));
  scene.store(ctx_);
  const Tensor out = scene.attend(ctx_, {});
  const float expected[] = {4, 8, 1, 14};
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(out->as<float>()[i], expected[i], 1e-5) << i;
}

TEST_P(AttentionOp, PagesHoldKeysTransposed) {
  Random random(2);
  Scene scene(random, {2, 2, 8, DType::kF32}, 21);
  scene.store(ctx_);
  for (int64_t t = 0; t < 21; ++t) {
    for (int64_t h = 0; h < 2; ++h) {
      const int64_t page = (scene.blocks[static_cast<size_t>(t / kBlock)] * 2 + h) * 8 * kBlock;
      for (int64_t d = 0; d < 8; ++d) {
        EXPECT_EQ(scene.keys->as<float>()[page + d * kBlock + t % kBlock],
                  scene.k->row<float>(t)[h * 8 + d]);
        EXPECT_EQ(scene.values->as<float>()[page + t % kBlock * 8 + d],
                  scene.v->row<float>(t)[h * 8 + d]);
      }
    }
  }
}

TEST_P(AttentionOp, CopiesABlock) {
  Random random(3);
  for (DType dtype : {DType::kBF16, DType::kI8}) {
    Scene scene(random, {2, 2, 24, dtype}, 40);
    scene.store(ctx_);
    const Tensor before = scene.attend(ctx_, {});
    const int32_t from = scene.blocks[1], to = scene.blocks.back();
    ops::kv_copy_block(ctx_, scene.pages, from, to);
    scene.blocks[1] = to;
    EXPECT_TRUE(same_bits(scene.attend(ctx_, {}), before)) << to_string(dtype);
  }
}

// Heads [tokens, kv_heads, head_dim] as the cache gives them back.
Tensor as_stored(const Tensor& x, DType dtype) {
  Tensor y = converted(x, DType::kF32);
  const int64_t head_dim = x->shape[2];
  std::vector<int8_t> levels(static_cast<size_t>(head_dim));
  for (int64_t at = 0; at < x->shape.count(); at += head_dim) {
    float* head = y->as<float>() + at;
    const float scale = dtype == DType::kI8
                            ? f16_to_float(kRowsReference.narrow_i8(head, levels.data(), head_dim))
                            : 0.0f;
    for (int64_t d = 0; d < head_dim; ++d) {
      if (dtype == DType::kI8) head[d] = static_cast<float>(levels[size_t(d)]) * scale;
      if (dtype == DType::kF16) head[d] = f16_to_float(f16_from_float(head[d]));
      if (dtype == DType::kBF16) head[d] = bf16_to_float(bf16_from_float(head[d]));
    }
  }
  return y;
}

// Dense attention straight from the formula, in double.
Tensor formula(const Scene& scene, const ops::Attention& attention) {
  const auto [heads, kv_heads, head_dim, dtype] = scene.shapes;
  const Tensor k = as_stored(scene.k, dtype), v = as_stored(scene.v, dtype);
  Tensor out(DType::kF32, scene.q->shape);
  for (int64_t t = 0; t < scene.tokens; ++t) {
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t kv = h / (heads / kv_heads) * head_dim;
      const int64_t begin =
          attention.window == 0 ? 0 : std::max<int64_t>(0, t - attention.window + 1);
      std::vector<double> sum(static_cast<size_t>(head_dim), 0.0);
      double total = 0.0;
      for (int64_t s = begin; s <= t; ++s) {
        double score = 0.0;
        for (int64_t d = 0; d < head_dim; ++d) {
          score +=
              double{scene.q->row<float>(t)[h * head_dim + d]} * double{k->row<float>(s)[kv + d]};
        }
        score *= double{attention.scale};
        if (attention.softcap > 0) {
          score = double{attention.softcap} * std::tanh(score / double{attention.softcap});
        }
        const double weight = std::exp(score);
        total += weight;
        for (int64_t d = 0; d < head_dim; ++d) {
          sum[static_cast<size_t>(d)] += weight * double{v->row<float>(s)[kv + d]};
        }
      }
      for (int64_t d = 0; d < head_dim; ++d) {
        out->row<float>(t)[h * head_dim + d] =
            static_cast<float>(sum[static_cast<size_t>(d)] / total);
      }
    }
  }
  return out;
}

TEST_P(AttentionOp, AgreesWithTheFormula) {
  const Shapes shapes[] = {
      {1, 1, 8, DType::kF32},    {4, 2, 16, DType::kF32},  {3, 3, 20, DType::kF32},
      {8, 1, 64, DType::kF16},   {6, 2, 80, DType::kBF16}, {14, 2, 64, DType::kBF16},
      {4, 4, 128, DType::kBF16}, {2, 1, 256, DType::kF32}, {5, 1, 33, DType::kF16},
      {2, 2, 7, DType::kBF16},   {4, 2, 16, DType::kI8},   {8, 1, 64, DType::kI8},
      {5, 1, 33, DType::kI8},    {3, 3, 7, DType::kI8},    {4, 4, 128, DType::kI8},
  };
  Random random(4);
  for (const Shapes& s : shapes) {
    for (int64_t tokens : {1, 15, 16, 17, 64, 65, 150}) {
      Scene scene(random, s, tokens);
      scene.store(ctx_);
      const float scale = 1.0f / std::sqrt(static_cast<float>(s.head_dim));
      for (const ops::Attention& attention :
           {ops::Attention{scale, 0, 0.0f}, ops::Attention{scale, 1, 0.0f},
            ops::Attention{scale, 20, 0.0f}, ops::Attention{3 * scale, 0, 2.0f}}) {
        EXPECT_LE(difference(scene.attend(ctx_, attention), formula(scene, attention)), 6e-6)
            << s.heads << "/" << s.kv_heads << " x " << s.head_dim << " " << to_string(s.dtype)
            << ", tokens " << tokens << ", window " << attention.window << ", cap "
            << attention.softcap;
      }
    }
  }
}

TEST_P(AttentionOp, LargeScoresDoNotOverflow) {
  Random random(5);
  Scene scene(random, {2, 1, 16, DType::kF32}, 70);
  scene.store(ctx_);
  const Tensor out = scene.attend(ctx_, {.scale = 1000.0f});
  const Tensor expected = scene.attend(reference_ctx_, {.scale = 1000.0f});
  EXPECT_LE(difference(out, expected), 1e-2);  // one part in 1e7 of a score of 1e4 is e^(1e-3)
}

// Several sequences of different kinds in one batch, cut at random places, on 1 to 4 threads.
TEST_P(AttentionOp, BatchInvariant) {
  Random random(6);
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kI8}) {
    const bool long_one =
        dtype_bytes(dtype) < 4 && dtype != DType::kF16 && GetParam() != Isa::kBaseline;
    const int64_t tokens = long_one ? 1400 : 130;
    Scene scene(random, {4, 2, 24, dtype}, tokens);
    scene.store(ctx_);
    for (const ops::Attention& attention :
         {ops::Attention{0.3f, 0, 0.0f}, ops::Attention{0.3f, 100, 5.0f}}) {
      const Tensor whole = scene.attend(ctx_, attention);
      for (int threads = 1; threads <= 4; ++threads) {
        Backend backend({.threads = threads, .isa_limit = GetParam()});
        ops::Context ctx = backend.context();
        Tensor parts(DType::kF32, scene.q->shape);
        int64_t begin = 0;
        while (begin < tokens) {
          // A batch of up to five "sequences", each a piece of the same one.
          std::vector<KvSequence> batch;
          const int64_t first = begin;
          for (int i = 0; i < 5 && begin < tokens; ++i) {
            const int64_t most = random.chance(0.3) ? 1 : random.chance(0.5) ? 9 : 120;
            const int64_t count = std::min(tokens - begin, random.between(1, most));
            batch.push_back(scene.sequence(begin - first, count, begin));
            begin += count;
          }
          ops::attention(ctx, scene.q->slice_rows(first, begin), batch, scene.pages, attention,
                         parts->slice_rows(first, begin));
        }
        ASSERT_TRUE(same_bits(parts, whole)) << to_string(dtype) << " threads " << threads;
      }
    }
  }
}

}  // namespace
}  // namespace hearth::backend::cpu
