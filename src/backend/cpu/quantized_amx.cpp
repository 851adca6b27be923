// Quantised products with tiles: tdpbsud multiplies up to 16 rows of 64 signed bytes by 16 columns
// of 64 unsigned ones, onto 16 x 16 sums of 32 bits.
//
//   levels of x  [rows][32]      weights  [8][16 outs][4]: as they lie packed      sums [rows][16]
//
// A product takes 16 cycles, one for each row of the first factor, however long the rows are. Each
// group of 32 has its own scale, so a product is half as long as the machine allows, and its sums
// leave the tile: the offset is added, they become floats, meet the scale. For 16 x 16 sums that is
// 3 operations on each of 16 vectors, and a quarter of one more for the scale of x (half of one
// beside 8-bit weights): 52 on two pipes, 26 cycles, while the tiles need 16. So 8192 products in
// 26 cycles is the most that this can do: 31 % of the peak of AMX (1024 a cycle), 2.5 times that of
// AVX512-VNNI (128). 4-bit weights are taken apart first, 12 operations more: 32 cycles.
//
// The loop goes in steps, each four groups of a block of sixteen outputs, and overlaps three: the
// weights of the next are taken apart, this one's are multiplied, the sums of the one before are
// scaled. So nobody waits for what was just stored.
#include "backend/cpu/quantized_simd.h"
#include "backend/cpu/tiles_amx.h"

namespace hearth::backend::cpu {
namespace {

constexpr int kAmxRows = 16;
// With so few rows, vectors read the weights as fast as memory gives them.
constexpr int kVectorRows = kQuantizedRows;
constexpr int64_t kAmxBlocks = 2;  // of outputs, in a call
constexpr int64_t kStepGroups = 4;
static_assert(kStepGroups % kQ8Span == 0 && kStepGroups % kQ4Span == 0);

// In pairs, so that a product need not wait for the one before: 0 and 1 sums, 2 and 3 levels of x,
// 4 and 5 of weights. Rows that a call lacks are read and multiplied all the same: they are other
// rows' levels, or none's, and nobody looks at their sums.
constexpr TileShapes kQuantizedShapes = {.row_bytes = {64, 64, 32, 32, 64, 64},
                                         .rows = {16, 16, 16, 16, 8, 8}};

struct alignas(64) AmxScratch {
  int32_t sums[2][kStepGroups][kAmxRows][kQuantizedOuts];  // by step: odd, even
  uint8_t weights[2][kStepGroups][8 * kQuadBytes];         // of 4 bits, taken apart; likewise
  float totals[kAmxBlocks][kAmxRows][kQuantizedOuts];
};

// Without this the compiler may move stores past a tile's load, of which it knows only an address.
inline void stores_before_tiles() { asm volatile("" ::: "memory"); }

// The levels of a group of a block of outputs as tiles want them.
inline const uint8_t* tile_of(Q8, const uint8_t* w, uint8_t*) { return w; }
inline const uint8_t* tile_of(Q4, const uint8_t* w, uint8_t* apart) {
#pragma GCC unroll 4
  for (int pair = 0; pair < 4; ++pair) {
    const I both = load_i(w + pair * kQuadBytes);
    _mm512_store_si512(apart + 2 * pair * kQuadBytes, low_half(both));
    _mm512_store_si512(apart + (2 * pair + 1) * kQuadBytes, high_half(both));
  }
  return apart;
}

// One call. Steps go span by span, and in each block by block.
template <typename Format>
struct AmxCall {
  const QuantizedBlock& b;
  int64_t rows;
  int64_t blocks;
  AmxScratch& scratch;
  const uint8_t* weights[2][kStepGroups] = {};  // of a step: odd, even

  struct Step {
    int64_t block;
    int64_t begin, groups;
    int64_t odd;
  };
  int64_t steps() const { return blocks * ((b.end - b.begin + kStepGroups - 1) / kStepGroups); }
  Step step(int64_t i) const {
    const int64_t begin = b.begin + i / blocks * kStepGroups, left = b.end - begin;
    return {i % blocks, begin, left < kStepGroups ? left : kStepGroups, i % 2};
  }

  void fetch_ahead(const Step& s, int64_t group) const {
    const int64_t at = group - b.begin;
    const uint8_t* const line = b.ahead + s.block * b.w_stride + at * Format::kBytes;
    int64_t byte = b.ahead_begin;
    do __builtin_prefetch(line + byte);
    while ((byte += 64) < b.ahead_end);
    if (b.ahead_begin == 0) {
      __builtin_prefetch(b.scales_ahead + s.block * b.scales_stride + at * kQuantizedOuts);
    }
  }

  void take_apart(const Step& s) {
    const uint8_t* const w = b.w + s.block * b.w_stride;
    for (int64_t g = 0; g < s.groups; ++g) {
      fetch_ahead(s, s.begin + g);
      weights[s.odd][g] =
          tile_of(Format(), w + (s.begin + g) * Format::kBytes, scratch.weights[s.odd][g]);
    }
    stores_before_tiles();
  }

  void multiply(const Step& s) {
    constexpr int64_t kStride = sizeof(QuantizedGroup);
    const QuantizedGroup* x = b.x + s.begin * rows;
    for (int64_t g = 0; g < s.groups; g += 2, x += 2 * rows) {
      _tile_zero(0);
      _tile_loadd(2, x->levels, kStride);
      _tile_loadd(4, weights[s.odd][g], kQuadBytes);
      _tile_dpbsud(0, 2, 4);
      _tile_stored(0, scratch.sums[s.odd][g], kQuadBytes);
      if (g + 1 == s.groups) break;
      _tile_zero(1);
      _tile_loadd(3, x[rows].levels, kStride);
      _tile_loadd(5, weights[s.odd][g + 1], kQuadBytes);
      _tile_dpbsud(1, 3, 5);
      _tile_stored(1, scratch.sums[s.odd][g + 1], kQuadBytes);
    }
  }

  template <int kGroups>
  void scale_groups(const Step& s) {
    const U16* scales = b.scales + s.block * b.scales_stride + s.begin * kQuantizedOuts;
    F of_weights[kGroups];
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) {
      of_weights[g] = f16_to_f32(load_u16(scales + g * kQuantizedOuts));
    }
    for (int64_t r = 0; r < rows; ++r) {
      const QuantizedGroup* x = b.x + s.begin * rows + r;
      F total = load(scratch.totals[s.block][r]), part = zero();
#pragma GCC unroll 4
      for (int g = 0; g < kGroups; ++g) {
        const I sum = add_i(load_i(scratch.sums[s.odd][g][r]), repeat(x[g * rows].offset));
        part = fma(to_float(sum), of_weights[g], part);
        if ((g + 1) % Format::kSpan != 0 && g + 1 < kGroups) continue;
        total = fma(part, broadcast(x[g * rows].scale), total);
        part = zero();
      }
      store(scratch.totals[s.block][r], total);
    }
  }

  void scale(const Step& s) {
    static_assert(kStepGroups == 4);
    switch (s.groups) {
      case 1:
        return scale_groups<1>(s);
      case 2:
        return scale_groups<2>(s);
      case 3:
        return scale_groups<3>(s);
      default:
        return scale_groups<4>(s);
    }
  }

  Part part_of(int64_t block) const { return Part(outs_of(b, block * kQuantizedOuts)); }

  void begin() {
    for (int64_t block = 0; block < blocks; ++block) {
      const Part part = part_of(block);
      for (int64_t r = 0; r < rows; ++r) {
        const float* const resting = b.sums + r * b.sums_stride + block * kQuantizedOuts;
        store(scratch.totals[block][r], b.begin == 0 ? zero() : load(resting, part));
      }
    }
  }

  void finish() {
    const bool last = b.end == b.groups;
    float* const results = last ? b.y : b.sums;
    const int64_t stride = last ? b.y_stride : b.sums_stride;
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t o = block * kQuantizedOuts;
      const Part part = part_of(block);
      const bool biased = last && b.bias != nullptr;
      const F bias = biased ? load(b.bias + o, part) : zero();
      for (int64_t r = 0; r < rows; ++r) {
        const F total = load(scratch.totals[block][r]);
        store(results + r * stride + o, biased ? add(total, bias) : total, part);
      }
    }
  }

  void run() {
    begin();
    const int64_t n = steps();
    take_apart(step(0));
    for (int64_t i = 0; i <= n; ++i) {
      if (i + 1 < n) take_apart(step(i + 1));
      if (i < n) multiply(step(i));
      if (i > 0) scale(step(i - 1));
    }
    finish();
  }
};

template <typename Format, int kRows>
void amx_block(const QuantizedBlock& b) {
  use_tiles(kQuantizedShapes);
  AmxScratch scratch;
  AmxCall<Format>{b, kRows, (b.outs + kQuantizedOuts - 1) / kQuantizedOuts, scratch}.run();
}

template <typename Format>
struct AmxRuns {
  static constexpr RunQuantized kAll[kAmxRows] = {
      quantized_block<Format, 1>, quantized_block<Format, 2>, quantized_block<Format, 3>,
      quantized_block<Format, 4>, quantized_block<Format, 5>, quantized_block<Format, 6>,
      amx_block<Format, 7>,       amx_block<Format, 8>,       amx_block<Format, 9>,
      amx_block<Format, 10>,      amx_block<Format, 11>,      amx_block<Format, 12>,
      amx_block<Format, 13>,      amx_block<Format, 14>,      amx_block<Format, 15>,
      amx_block<Format, 16>};
  static_assert(kVectorRows == 6);
};

}  // namespace

const QuantizedTile kQuantizedAmx = {
    "amx", kAmxRows, pack_quantized_rows, AmxRuns<Q8>::kAll, AmxRuns<Q4>::kAll, release_tiles};

}  // namespace hearth::backend::cpu
