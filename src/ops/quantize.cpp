#include "ops/quantize.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <thread>
#include <vector>

#include "base/error.h"

namespace hearth::ops {
namespace {

using Values = std::array<float, kQuantGroup>;
using Levels = std::array<int8_t, kQuantGroup>;

struct Group {
  Levels levels{};  // signed
  float scale = 0.0f;
};

// Where level i of output o lies: its byte, and for q4 which half.
int64_t level_offset(const Weight& w, int64_t o, int64_t i) {
  const int64_t group = o / kQuantOuts * quant_groups(w.in) + i / kQuantGroup;
  const int64_t quad = i % kQuantGroup / 4;
  const int64_t row = w.format == WeightFormat::kQ4 ? quad / 2 : quad;
  return group * quant_group_bytes(w.format) + (row * kQuantOuts + o % kQuantOuts) * 4 + i % 4;
}

int64_t scale_offset(const Weight& w, int64_t o, int64_t i) {
  const int64_t group = o / kQuantOuts * quant_groups(w.in) + i / kQuantGroup;
  return group * kQuantOuts + o % kQuantOuts;
}

// The element of greatest magnitude, with its sign; NaN where one is not finite.
float extreme(const Values& x) {
  float most = 0.0f;
  for (const float v : x) {
    if (!std::isfinite(v)) return NAN;
    if (std::abs(v) > std::abs(most)) most = v;
  }
  return most;
}

float through_f16(float x) { return f16_to_float(f16_from_float(x)); }

// Levels are chosen for the scale as it will be stored.
Group quantize_q8(const Values& x, float most) {
  Group group;
  group.scale = through_f16(std::abs(most) / 127.0f);
  if (group.scale == 0.0f) return group;
  const float inverse = 1.0f / group.scale;
  for (size_t i = 0; i < x.size(); ++i) {
    group.levels[i] =
        static_cast<int8_t>(std::clamp(std::nearbyint(x[i] * inverse), -127.0f, 127.0f));
  }
  return group;
}

// Tries scales at which the greatest element falls on levels from -6.75 to -8.75. The levels of
// each have one best scale in the sense of least squares, whose error falls as (x·q)² / q·q grows.
Group quantize_q4(const Values& x, float most) {
  constexpr int kSteps = 8;
  constexpr float kFirst = 6.75f, kStep = 0.25f;
  Group best;
  float best_gain = 0.0f;
  if (through_f16(most / -8.0f) == 0.0f) return best;
  for (int step = 0; step <= kSteps; ++step) {
    const float inverse = -(kFirst + kStep * static_cast<float>(step)) / most;
    std::array<float, kQuantGroup> q;
    for (size_t i = 0; i < x.size(); ++i) {
      // Half a level of 12.5 rounds down, so adding it before cutting off rounds to nearest.
      q[i] = static_cast<float>(
                 static_cast<int>(std::min(std::max(x[i] * inverse, -8.0f), 7.0f) + 12.5f)) -
             12.0f;
    }
    std::array<float, 4> xq{}, qq{};
    for (size_t i = 0; i < x.size(); i += 4) {
      for (size_t lane = 0; lane < 4; ++lane) {
        xq[lane] += x[i + lane] * q[i + lane];
        qq[lane] += q[i + lane] * q[i + lane];
      }
    }
    const float sum_xq = (xq[0] + xq[1]) + (xq[2] + xq[3]);
    const float sum_qq = (qq[0] + qq[1]) + (qq[2] + qq[3]);
    const float gain = sum_xq * sum_xq / sum_qq;
    if (sum_qq > 0.0f && gain > best_gain) {
      best_gain = gain;
      best.scale = through_f16(sum_xq / sum_qq);
      for (size_t i = 0; i < x.size(); ++i) best.levels[i] = static_cast<int8_t>(q[i]);
    }
  }
  return best;
}

void read_values(const TensorView& matrix, int64_t o, int64_t from, Values& values) {
  const int64_t count = std::min(kQuantGroup, matrix.cols() - from);
  values.fill(0.0f);
  for (int64_t i = 0; i < count; ++i) {
    auto& value = values[static_cast<size_t>(i)];
    if (matrix.dtype == DType::kF32) {
      value = matrix.row<float>(o)[from + i];
    } else {
      const uint16_t bits = matrix.row<uint16_t>(o)[from + i];
      value = matrix.dtype == DType::kF16 ? f16_to_float(bits) : bf16_to_float(bits);
    }
  }
}

void store(const Group& group, Weight& w, int64_t o, int64_t from) {
  auto* levels = w.matrix.as<uint8_t>();
  const int32_t zero = quant_zero(w.format);
  for (int64_t i = 0; i < kQuantGroup; ++i) {
    const auto level = static_cast<uint8_t>(int32_t{group.levels[static_cast<size_t>(i)]} + zero);
    uint8_t& to = levels[level_offset(w, o, from + i)];
    if (w.format == WeightFormat::kQ8) {
      to = level;
    } else {
      to = i / 4 % 2 == 0 ? level : static_cast<uint8_t>(to | level << 4);
    }
  }
  w.scales.as<uint16_t>()[scale_offset(w, o, from)] = f16_from_float(group.scale);
}

// One block of sixteen outputs. False when a weight is not finite.
bool quantize_block(const TensorView& matrix, Weight& w, int64_t block) {
  bool finite = true;
  for (int64_t o = block * kQuantOuts; o < (block + 1) * kQuantOuts; ++o) {
    for (int64_t from = 0; from < w.in; from += kQuantGroup) {
      Group group;
      if (o < w.out) {
        Values values;
        read_values(matrix, o, from, values);
        const float most = extreme(values);
        finite = finite && !std::isnan(most);
        group =
            w.format == WeightFormat::kQ8 ? quantize_q8(values, most) : quantize_q4(values, most);
        finite = finite && std::isfinite(group.scale);
      }
      store(group, w, o, from);
    }
  }
  return finite;
}

Weight packed_weight(WeightFormat format, int64_t out, int64_t in) {
  Weight w;
  w.format = format;
  w.out = out;
  w.in = in;
  const int64_t blocks = quant_blocks(out), groups = quant_groups(in);
  const int64_t level_bytes = blocks * groups * quant_group_bytes(format);
  const int64_t scales = blocks * groups * kQuantOuts;
  w.owned = Buffer(static_cast<size_t>(level_bytes + scales * 2));
  w.matrix = {w.owned.data(), DType::kU8, {blocks, groups * quant_group_bytes(format)}};
  w.scales = {
      static_cast<char*>(w.owned.data()) + level_bytes, DType::kF16, {blocks, groups * kQuantOuts}};
  return w;
}

}  // namespace

Weight quantize(TensorView matrix, WeightFormat format, int threads, const char* where) {
  CHECK(quantized(format), "quantize to {}", to_string(format));
  CHECK(matrix.shape.rank() == 2, "expected [out, in], came {}", matrix.shape.to_string());
  Weight w = packed_weight(format, matrix.shape[0], matrix.shape[1]);
  const int64_t blocks = quant_blocks(w.out);
  std::atomic<int64_t> next = 0;
  std::atomic<bool> finite = true;
  const auto work = [&] {
    for (int64_t block = next++; block < blocks; block = next++) {
      if (!quantize_block(matrix, w, block)) finite = false;
    }
  };
  std::vector<std::jthread> helpers;
  for (int i = 1; i < threads && i < blocks; ++i) helpers.emplace_back(work);
  work();
  helpers.clear();
  if (!finite) {
    throw_error(ErrorCode::kDataLoss, where,
                "a weight is not a finite number, or its group is too large for a scale in f16; "
                "serve this model without --quantize");
  }
  return w;
}

int32_t quant_level(const Weight& w, int64_t o, int64_t i) {
  const int32_t byte = w.matrix.as<uint8_t>()[level_offset(w, o, i)];
  const int32_t level = w.format == WeightFormat::kQ8 ? byte
                        : i / 4 % 2 == 0              ? byte & 15
                                                      : byte >> 4;
  return level - quant_zero(w.format);
}

float quant_scale(const Weight& w, int64_t o, int64_t i) {
  return f16_to_float(w.scales.as<uint16_t>()[scale_offset(w, o, i)]);
}

}  // namespace hearth::ops
