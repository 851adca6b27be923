// Building blocks of the training kernels: element types, conversions and exp(), written so that
// the compiler vectorises loops over them.
//
// Every header of this folder is compiled once for each instruction set (train_kernels_*.cpp) and
// keeps all it defines in an anonymous namespace, so that no function built for a newer machine is
// ever picked by the linker for an older one. For the same reason: raw loops, no std algorithms.
#pragma once

#include <cstdint>
#include <cstring>

#include "ops/train_context.h"

namespace hearth::backend::cpu {
namespace {

struct Bf16 {
  uint16_t bits;
};

inline uint32_t bits_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

inline float float_of(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

inline float to_float(float x) { return x; }
inline float to_float(Bf16 x) { return float_of(uint32_t{x.bits} << 16); }

template <typename T>
inline T from_float(float x);
template <>
inline float from_float<float>(float x) {
  return x;
}
// Round to nearest even; a NaN keeps its quiet bit because the largest mantissa is not rounded up.
template <>
inline Bf16 from_float<Bf16>(float x) {
  const uint32_t bits = bits_of(x);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const uint32_t nan = (bits >> 16) | 0x40u;
  return {static_cast<uint16_t>(x == x ? rounded : nan)};
}

// e^x to about 2 ulp: x = n ln2 + r, |r| <= ln2/2, a polynomial in r, n put into the exponent.
// Below -87 the result is 0, above 88 it is that of 88.
inline float exp_fast(float x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const float clamped = x < -87.0f ? -87.0f : (x > 88.0f ? 88.0f : x);
  const float n = (clamped * 1.44269504f + kRound) - kRound;
  const float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const float power = float_of(static_cast<uint32_t>(static_cast<int32_t>(n) + 127) << 23);
  return x < -87.0f ? 0.0f : p * power;
}

// Sums and maxima over a row run in kLanes columns, which are then folded in a fixed order.
constexpr int kLanes = 32;

inline float fold_sum(const float* lanes) {
  float sums[kLanes];
  for (int i = 0; i < kLanes; ++i) sums[i] = lanes[i];
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) sums[i] += sums[i + width];
  }
  return sums[0];
}

// body(i) summed over i in [0, n).
template <typename Body>
inline float sum_over(int64_t n, const Body& body) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += body(i + lane);
  }
  for (; i < n; ++i) lanes[i % kLanes] += body(i);
  return fold_sum(lanes);
}

inline float max_of(const float* x, int64_t n) {
  float lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) lanes[i] = -3.0e38f;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      lanes[lane] = x[i + lane] > lanes[lane] ? x[i + lane] : lanes[lane];
    }
  }
  for (; i < n; ++i) lanes[i % kLanes] = x[i] > lanes[i % kLanes] ? x[i] : lanes[i % kLanes];
  float best = lanes[0];
  for (int lane = 1; lane < kLanes; ++lane) best = lanes[lane] > best ? lanes[lane] : best;
  return best;
}

// Calls body with a value of the element type of `dtype`: f32 or bf16.
template <typename Body>
inline void with_element(DType dtype, const Body& body) {
  if (dtype == DType::kBF16) {
    body(Bf16{});
  } else {
    body(float{});
  }
}

// Rows are cut into spans of this many for partial sums, whatever the number of threads.
constexpr int64_t kSpanRows = 256;

inline int64_t spans_of(int64_t rows) { return (rows + kSpanRows - 1) / kSpanRows; }

template <typename T>
inline T least(T a, T b) {
  return a < b ? a : b;
}

template <typename T>
inline T* row_of(const TensorView& x, int64_t row) {
  return static_cast<T*>(x.data) + row * x.row_stride;
}

// body(row) for each of `rows`, a span a task.
template <typename Body>
inline void for_row_spans(ops::TrainContext& ctx, int64_t rows, const Body& body) {
  ctx.workers.run(spans_of(rows), [&](int64_t task, int) {
    const int64_t end = least((task + 1) * kSpanRows, rows);
    for (int64_t row = task * kSpanRows; row < end; ++row) body(row);
  });
}

// Sums over rows: body(row, sums) adds a row to sums[n], each span into sums of its own, which
// fold(sums) then takes in order.
template <typename Body, typename Fold>
inline void sum_row_spans(ops::TrainContext& ctx, int64_t rows, int64_t n, const Body& body,
                          const Fold& fold) {
  const int64_t spans = spans_of(rows);
  float* partial =
      static_cast<float*>(ctx.scratch.reserve(static_cast<size_t>(spans * n) * sizeof(float)));
  ctx.workers.run(spans, [&](int64_t task, int) {
    float* sums = partial + task * n;
    std::memset(sums, 0, static_cast<size_t>(n) * sizeof(float));
    const int64_t end = least((task + 1) * kSpanRows, rows);
    for (int64_t row = task * kSpanRows; row < end; ++row) body(row, sums);
  });
  for (int64_t span = 0; span < spans; ++span) fold(partial + span * n);
}

// The fold that adds to `total`, [n] f32.
inline auto add_to(const TensorView& total) {
  return [values = total.as<float>(), n = total.shape.count()](const float* sums) {
    for (int64_t i = 0; i < n; ++i) values[i] += sums[i];
  };
}

}  // namespace
}  // namespace hearth::backend::cpu
