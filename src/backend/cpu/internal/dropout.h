// Four elements share one mixed word of 64 bits, 16 for each.
#pragma once

#include "backend/cpu/internal/simd.h"
#include "ops/dropout.h"

namespace hearth::backend::cpu {
namespace {

// As hearth::split_mix, which lives in another translation unit.
inline uint64_t mixed(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

void dropout(ops::TrainContext& ctx, const ops::Dropout& args) {
  const int64_t n = args.x.cols();
  const auto bound = static_cast<uint32_t>(args.share * 65536.0f + 0.5f);
  const float scale = 65536.0f / (65536.0f - static_cast<float>(bound));
  with_element(args.x.dtype, [&](auto from_element) {
    with_element(args.y.dtype, [&](auto to_element) {
      using From = decltype(from_element);
      using To = decltype(to_element);
      for_row_spans(ctx, args.x.rows(), [&](int64_t t) {
        const From* from = row_of<From>(args.x, t);
        To* to = row_of<To>(args.y, t);
        const uint64_t row_key = mixed(args.key ^ mixed(static_cast<uint64_t>(t)));
        for (int64_t i = 0; i < n; i += 4) {
          const uint64_t word = mixed(row_key + static_cast<uint64_t>(i));
          const int64_t count = least<int64_t>(4, n - i);
          for (int64_t j = 0; j < count; ++j) {
            const auto lot = static_cast<uint32_t>(word >> (16 * j)) & 0xffffu;
            to[i + j] = from_float<To>(lot < bound ? 0.0f : scale * to_float(from[i + j]));
          }
        }
      });
    });
  });
}

}  // namespace
}  // namespace hearth::backend::cpu
