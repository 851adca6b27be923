#include "ops/lora.h"

#include <gtest/gtest.h>

#include "backend/cpu/test_support.h"

namespace hearth::backend::cpu {
namespace {

class Lora : public EveryIsa {};
INSTANTIATE_TEST_SUITE_P(Cpu, Lora, testing::ValuesIn(isa_levels()), isa_name);

enum class Gain { kNone, kSome };

// One adapter's part with its memory; each row and column lies on its own, as in pages.
struct Adapter {
  Adapter(Random& random, int64_t rank, int64_t in, int64_t out_begin, int64_t out, DType dtype,
          Gain with_gain)
      : a(converted(random_tensor(random, {rank, in}, 1 / std::sqrt(float(in))), dtype)),
        b(converted(random_tensor(random, {rank, out}), dtype)),
        gain(random_tensor(random, {out})),
        shift(random_tensor(random, {out})) {
    const int64_t bytes = static_cast<int64_t>(dtype_bytes(dtype));
    for (int64_t k = 0; k < rank; ++k) {
      a_rows.push_back(static_cast<const char*>(a->data) + k * in * bytes);
      b_rows.push_back(static_cast<const char*>(b->data) + k * out * bytes);
    }
    part = {dtype, static_cast<int32_t>(rank), a_rows.data(), b_rows.data(), 0.7f, out_begin, out};
    if (with_gain == Gain::kNone) return;
    part.gain = gain->as<float>();
    part.shift = shift->as<float>();
  }

  Tensor a, b, gain, shift;
  std::vector<const void*> a_rows, b_rows;
  ops::LoraPart part;
};

TEST_P(Lora, KnownValues) {
  float x[] = {1, 2, 3, 4};  // two rows of two
  float a[] = {1, 1, 1, -1};
  float b[] = {1, 0, 2, 0, 1, 0};
  float y[] = {10, 20, 30, 40, 50, 60};
  const void* a_rows[] = {a, a + 2};
  const void* b_rows[] = {b, b + 3};
  const ops::LoraPart part{DType::kF32, 2, a_rows, b_rows, 2.0f, 0, 3};
  const int32_t rows[] = {1};
  const ops::LoraGroup group{{&part, 1}, rows};
  ops::lora_add(ctx_, {x, DType::kF32, {2, 2}}, {&group, 1}, {y, DType::kF32, {2, 3}});
  EXPECT_EQ(std::vector<float>(y, y + 6), (std::vector<float>{10, 20, 30, 54, 48, 88}));
}

TEST_P(Lora, AgreesWithTheReference) {
  Random random(1);
  const int64_t shapes[][4] = {{1, 1, 1, 1},     {1, 8, 64, 64},    {2, 3, 17, 33},
                               {5, 16, 100, 7},  {7, 64, 33, 130},  {40, 9, 288, 288},
                               {3, 256, 65, 96}, {60, 8, 512, 1500}};
  for (const auto& [rows, rank, in, out] : shapes) {
    for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
      for (Gain gain : {Gain::kNone, Gain::kSome}) {
        const Adapter adapter(random, rank, in, 2, out, dtype, gain);
        const Tensor x = random_tensor(random, {rows, in});
        const Tensor x_storage = strided_storage(x, 3);
        const Tensor y = random_tensor(random, {rows, out + 5});
        const Tensor expected = strided_storage(y, 0);
        std::vector<int32_t> chosen;
        for (int64_t r = 0; r < rows; ++r) {
          if (rows == 1 || random.chance(0.7)) chosen.push_back(static_cast<int32_t>(r));
        }
        const ops::LoraGroup group{{&adapter.part, 1}, chosen};
        ops::lora_add(reference_ctx_, x, {&group, 1}, expected);
        ops::lora_add(ctx_, x_storage->slice_cols(0, in), {&group, 1}, y);
        EXPECT_LE(difference(y, expected), 4e-6) << rows << " rows, rank " << rank << ", " << in
                                                 << " x " << out << " " << to_string(dtype);
      }
    }
  }
}

// The rule of the house: a row knows neither its neighbours nor their adapters nor the threads.
TEST_P(Lora, BatchInvariant) {
  Random random(2);
  constexpr int64_t kIn = 333, kOut = 411, kRows = 130;
  std::vector<Adapter> adapters;
  adapters.reserve(6);
  const DType dtypes[] = {DType::kF32, DType::kF16, DType::kBF16};
  for (int64_t rank : {1, 8, 13, 64, 200, 16}) {
    adapters.emplace_back(random, rank, kIn, 11, kOut - 20, dtypes[adapters.size() % 3],
                          adapters.size() < 4 ? Gain::kNone : Gain::kSome);
  }
  const Tensor x = random_tensor(random, {kRows, kIn});
  const Tensor before = random_tensor(random, {kRows, kOut});
  std::vector<size_t> owner;
  for (int64_t r = 0; r < kRows; ++r) owner.push_back(random.below(adapters.size() + 1));
  const Tensor alone = strided_storage(before, 0);
  for (int32_t r = 0; r < kRows; ++r) {
    if (owner[static_cast<size_t>(r)] == adapters.size()) continue;
    const ops::LoraGroup group{{&adapters[owner[static_cast<size_t>(r)]].part, 1}, {&r, 1}};
    ops::lora_add(ctx_, x, {&group, 1}, alone);
  }
  for (int threads = 1; threads <= 4; ++threads) {
    Backend backend({.threads = threads, .isa_limit = GetParam()});
    ops::Context ctx = backend.context();
    const Tensor together = strided_storage(before, 0);
    std::vector<std::vector<int32_t>> rows(adapters.size());
    std::vector<ops::LoraGroup> groups;
    for (size_t a = 0; a < adapters.size(); ++a) {
      for (int32_t r = 0; r < kRows; ++r) {
        if (owner[static_cast<size_t>(r)] == a) rows[a].push_back(r);
      }
      random.shuffle(std::span(rows[a]));
      groups.push_back({{&adapters[a].part, 1}, rows[a]});
    }
    ops::lora_add(ctx, x, groups, together);
    ASSERT_TRUE(same_bits(together, alone)) << threads << " threads";
    for (size_t a = 0; a < adapters.size(); ++a) {
      // Few large adapters are cut differently from many.
      const Tensor one = strided_storage(before, 0);
      ops::lora_add(ctx, x, {&groups[a], 1}, one);
      for (int32_t r : rows[a]) {
        ASSERT_TRUE(same_bits(one->slice_rows(r, r + 1), alone->slice_rows(r, r + 1))) << a;
      }
    }
  }
}

// The parts of a fused layer go to their own outputs and touch no other.
TEST_P(Lora, PartsOfAFusedLayer) {
  Random random(3);
  const Adapter first(random, 4, 40, 0, 16, DType::kF32, Gain::kNone);
  const Adapter second(random, 8, 40, 24, 8, DType::kBF16, Gain::kSome);
  const ops::LoraPart parts[] = {first.part, second.part};
  const Tensor x = random_tensor(random, {2, 40});
  const Tensor before = random_tensor(random, {2, 40});
  const Tensor y = strided_storage(before, 0), expected = strided_storage(before, 0);
  const int32_t rows[] = {0, 1};
  const ops::LoraGroup both{parts, rows};
  ops::lora_add(ctx_, x, {&both, 1}, y);
  ops::lora_add(reference_ctx_, x, {&both, 1}, expected);
  EXPECT_LE(difference(y, expected), 4e-6);
  EXPECT_TRUE(same_bits(y->slice_cols(16, 24), before->slice_cols(16, 24)));
  EXPECT_TRUE(same_bits(y->slice_cols(32, 40), before->slice_cols(32, 40)));
  EXPECT_FALSE(same_bits(y->slice_cols(0, 16), before->slice_cols(0, 16)));
}

}  // namespace
}  // namespace hearth::backend::cpu
