// The inner functions of lora_add() that an instruction set brings. Plain pointers only: this
// header is included by files that are compiled for one instruction set.
#pragma once

#include <cstdint>

namespace hearth::backend::cpu {

constexpr int kLoraFormats = 3;       // f32, f16, bf16
constexpr int64_t kLoraRankTile = 8;  // a shrink takes as many rows of A at a time

// h[r][k] = scale · Σ a[k][i] · x[r][i]. The sum over i has one order, whatever the tile: lane l
// takes the elements l, l + L, l + 2L, ..., then one fixed tree adds the lanes.
struct LoraShrink {
  const void* const* a = nullptr;  // [rank] rows of [in]
  int64_t rank = 0;
  const float* x = nullptr;
  int64_t x_stride = 0;
  const int32_t* rows = nullptr;  // [count] of x
  int64_t count = 0;
  int64_t in = 0;
  float scale = 1.0f;
  float* h = nullptr;  // [count, h_stride]
  int64_t h_stride = 0;
};

// y[r][o] += Σ h[r][k] · b[k][o], k ascending; with a gain, y[r][o] = gain[o] · (that) + shift[o].
struct LoraExpand {
  const void* const* b = nullptr;  // [rank] rows of [out]
  int64_t rank = 0;
  const float* h = nullptr;  // [count, h_stride]
  int64_t h_stride = 0;
  const int32_t* rows = nullptr;  // [count] of y
  int64_t count = 0;
  int64_t begin = 0;  // outputs [begin, end) of the part
  int64_t end = 0;
  const float* gain = nullptr;  // [out] or null
  const float* shift = nullptr;
  float* y = nullptr;  // the part's first output of row 0
  int64_t y_stride = 0;
};

struct LoraTiles {
  const char* variant = nullptr;
  void (*shrink[kLoraFormats])(const LoraShrink&) = {};
  void (*expand[kLoraFormats])(const LoraExpand&) = {};
};

extern const LoraTiles kLoraAvx2;
extern const LoraTiles kLoraAvx512;

}  // namespace hearth::backend::cpu
