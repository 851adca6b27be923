// bf16 arithmetic with tiles: tdpbf16ps multiplies 16 rows of 32 elements by 16 columns of 32, onto
// 16 x 16 sums in f32.
//
//   weights, 16 outputs            x, up to 16 rows of a tile         sums
//   [16][32]: as in the file,      [16 pairs][rows][2]                [16 outs][rows]
//   or packed [in/32][16][32]      packed [in/32][16][rows][2]
//
// Weights are the first factor, whose rows the instruction takes as they lie in the file; x is
// small and packed once, so it is the second, which must be laid out in pairs.
//
// A sum has one order: in each stretch of 32 elements one chain of the even and one of the odd
// ones, both added, then added to the sum; smaller than the smallest normal number counts as zero.
// That is the instruction's own, other than that of vdpbf16ps, so every number of rows uses tiles,
// a single one too: a row has the same bits whatever is beside it. A single row costs no more than
// its reading: sixteen outputs by 32 elements are 1 KiB of weights and 16 cycles.
//
// A call has up to 32 rows and takes 32 outputs at a time: of four products each factor is used
// twice. They take 64 cycles, their four loads 32 and 4 KiB: 64 bytes a cycle is what a
// second-level cache gives at best, so the more of x the first one holds, the nearer to the peak.
#include <cstring>
#include <immintrin.h>

#include "backend/cpu/linear_tiles.h"
#include "backend/cpu/simd.h"
#include "backend/cpu/tiles_amx.h"

namespace hearth::backend::cpu {
namespace {

constexpr int64_t kAmxOuts = 16;
constexpr int64_t kAmxColumns = 16;  // rows of x in a register
constexpr int kAmxRowsMax = 32;
constexpr int64_t kAmxStep = 32;  // elements
constexpr int64_t kRowBytes = 64;

// 0 to 3: sums of two times sixteen outputs by two times sixteen rows; 4 and 5: weights; 6 and 7:
// x. Columns that a call lacks are read and multiplied all the same: nobody looks at their sums,
// and no column is part of another's.
constexpr TileShapes kLinearShapes = {.row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
                                      .rows = {16, 16, 16, 16, 16, 16, 16, 16}};

// Without this the compiler may move stores past a tile's load, of which it knows only an address.
inline void stores_before_loads() { asm volatile("" ::: "memory"); }

// Sixteen outputs' weights, step by step.
struct AmxWeights {
  const U16* first;
  int64_t row;   // elements from output to output
  int64_t step;  // from step to step
};

// What of [outs, in] does not fill a tile, and zeros: a tile would read beyond.
inline void copy_padded(const U16* w, int64_t w_stride, int64_t outs, int64_t n, U16* tile) {
  const auto most = static_cast<__mmask32>(n >= kAmxStep ? ~0u : (1u << n) - 1u);
  for (int64_t o = 0; o < kAmxOuts; ++o) {
    const __m512i row =
        o < outs ? _mm512_maskz_loadu_epi16(most, w + o * w_stride) : _mm512_setzero_si512();
    _mm512_store_si512(tile + o * kAmxStep, row);
  }
}

// The products of one step, of one or two blocks of outputs and one or two of rows.
inline void multiply_step(const U16* w0, const U16* w1, int64_t w_row, const char* x,
                          int64_t x_row) {
  _tile_loadd(4, w0, w_row * 2);
  _tile_loadd(6, x, x_row);
  _tile_dpbf16ps(0, 4, 6);
  if (w1 != nullptr) {
    _tile_loadd(5, w1, w_row * 2);
    _tile_dpbf16ps(2, 5, 6);
  }
  if (x_row <= kRowBytes) return;
  _tile_loadd(7, x + kRowBytes, x_row);
  _tile_dpbf16ps(1, 4, 7);
  if (w1 != nullptr) _tile_dpbf16ps(3, 5, 7);
}

struct alignas(64) AmxTails {
  U16 weights[2][kAmxOuts * kAmxStep];
  float sums[kAmxOuts][kAmxColumns];
};

// Sums [outs][rows] to y [rows][outs].
inline void put_sums(const LinearBlock& b, int64_t o, int64_t first_row, int64_t rows,
                     const AmxTails& tails) {
  const int64_t left = b.outs - o;
  const Part part(left < kAmxOuts ? left : kAmxOuts);
  const F bias = b.bias == nullptr ? zero() : load(b.bias + o, part);
  const __m512i column =
      _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                         _mm512_set1_epi32(static_cast<int>(kAmxColumns)));
  for (int64_t r = 0; r < rows; ++r) {
    const F sum = _mm512_i32gather_ps(column, &tails.sums[0][r], sizeof(float));
    store(b.y + (first_row + r) * b.y_stride + o, b.bias == nullptr ? sum : add(sum, bias), part);
  }
}

inline void put_all(const LinearBlock& b, int64_t o, int64_t rows, AmxTails& tails) {
  const bool more_outs = b.outs - o > kAmxOuts, more_rows = rows > kAmxColumns;
  const int64_t first = more_rows ? kAmxColumns : rows, second = rows - first;
  _tile_stored(0, tails.sums, kRowBytes);
  put_sums(b, o, 0, first, tails);
  if (more_rows) {
    _tile_stored(1, tails.sums, kRowBytes);
    put_sums(b, o, kAmxColumns, second, tails);
  }
  if (!more_outs) return;
  _tile_stored(2, tails.sums, kRowBytes);
  put_sums(b, o + kAmxOuts, 0, first, tails);
  if (more_rows) {
    _tile_stored(3, tails.sums, kRowBytes);
    put_sums(b, o + kAmxOuts, kAmxColumns, second, tails);
  }
}

inline void zero_sums() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

// Weights as they lie in the file. Outputs and elements that do not fill a tile are copied first.
void direct_pair(const LinearBlock& b, int64_t o, int64_t rows, AmxTails& tails) {
  const int64_t x_row = rows * 4, outs = b.outs - o;
  const U16* const w0 = static_cast<const U16*>(b.w) + o * b.w_stride;
  const U16* const w1 = outs > kAmxOuts ? w0 + kAmxOuts * b.w_stride : nullptr;
  const int64_t whole0 = outs >= kAmxOuts ? b.in / kAmxStep * kAmxStep : 0;
  const int64_t whole = w1 == nullptr || outs >= 2 * kAmxOuts ? whole0 : 0;
  const auto* x = static_cast<const char*>(b.x);
  zero_sums();
  for (int64_t i = 0; i < whole; i += kAmxStep, x += kAmxColumns * x_row) {
    multiply_step(w0 + i, w1 == nullptr ? nullptr : w1 + i, b.w_stride, x, x_row);
  }
  for (int64_t i = whole; i < b.in; i += kAmxStep, x += kAmxColumns * x_row) {
    copy_padded(w0 + i, b.w_stride, outs, b.in - i, tails.weights[0]);
    if (w1 != nullptr) {
      copy_padded(w1 + i, b.w_stride, outs - kAmxOuts, b.in - i, tails.weights[1]);
    }
    stores_before_loads();
    multiply_step(tails.weights[0], w1 == nullptr ? nullptr : tails.weights[1], kAmxStep, x, x_row);
  }
  put_all(b, o, rows, tails);
}

// Weights packed: [outs / 16][in / 32][16][32].
void packed_pair(const LinearBlock& b, int64_t o, int64_t rows, AmxTails& tails) {
  const int64_t x_row = rows * 4;
  const U16* const w0 = static_cast<const U16*>(b.w) + o * b.w_stride;
  const U16* const w1 = b.outs - o > kAmxOuts ? w0 + kAmxOuts * b.w_stride : nullptr;
  const auto* x = static_cast<const char*>(b.x);
  zero_sums();
  for (int64_t i = 0; i < b.in; i += kAmxStep, x += kAmxColumns * x_row) {
    const int64_t at = i * kAmxOuts;
    multiply_step(w0 + at, w1 == nullptr ? nullptr : w1 + at, kAmxStep, x, x_row);
  }
  put_all(b, o, rows, tails);
}

template <void (*kPair)(const LinearBlock&, int64_t, int64_t, AmxTails&)>
void amx_block(const LinearBlock& b, int64_t rows) {
  use_tiles(kLinearShapes);
  AmxTails tails;
  for (int64_t o = 0; o < b.outs; o += 2 * kAmxOuts) kPair(b, o, rows, tails);
}

template <int kRows>
void amx_direct(const LinearBlock& b) {
  amx_block<direct_pair>(b, kRows);
}

template <int kRows>
void amx_packed(const LinearBlock& b) {
  amx_block<packed_pair>(b, kRows);
}

// Element i of row r at [i / 32][i % 32 / 2][r][i % 2], zeros to the end of the last step.
void pack_amx_rows(const float* x, int64_t x_stride, int64_t rows, int64_t in, void* packed) {
  auto* const y = static_cast<uint32_t*>(packed);
  for (int64_t r = 0; r < rows; ++r) {
    const float* const from = x + r * x_stride;
    for (int64_t i = 0; i < in; i += kAmxStep) {
      alignas(64) U16 elements[kAmxStep];
      for (int64_t half = 0; half < kAmxStep; half += kLanes) {
        const int64_t left = in - i - half;
        const F v = left >= kLanes ? load(from + i + half)
                    : left > 0     ? load(from + i + half, Part(left))
                                   : zero();
        store_u16(elements + half, f32_to_bf16(v));
      }
      uint32_t* const to = y + i / 2 * rows + r;
      for (int64_t pair = 0; pair < kAmxColumns; ++pair) {
        std::memcpy(to + pair * rows, elements + 2 * pair, sizeof(uint32_t));
      }
    }
  }
}

void pack_amx_weights(const void* weights, int64_t w_stride, int64_t outs, int64_t in,
                      void* packed) {
  const int64_t padded = (in + kAmxStep - 1) / kAmxStep * kAmxStep;
  for (int64_t o = 0; o < outs; o += kAmxOuts) {
    const U16* const w = static_cast<const U16*>(weights) + o * w_stride;
    U16* const to = static_cast<U16*>(packed) + o * padded;
    for (int64_t i = 0; i < in; i += kAmxStep) {
      copy_padded(w + i, w_stride, outs - o, in - i, to + i * kAmxOuts);
    }
  }
}

template <int... kRows>
struct AmxRowCounts {
  static constexpr RunLinear kDirect[] = {amx_direct<kRows>...};
  static constexpr RunLinear kPacked[] = {amx_packed<kRows>...};
};
using AmxLinear = AmxRowCounts<1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
                               20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32>;

}  // namespace

const LinearTile kLinearAmx = {.variant = "amx",
                               .rows_max = kAmxRowsMax,
                               .packed_bytes = sizeof(U16),
                               .pack_rows = pack_amx_rows,
                               .pack_weights = pack_amx_weights,
                               .direct = AmxLinear::kDirect,
                               .packed = {AmxLinear::kPacked},
                               .outs = kAmxOuts,
                               .bytes_beyond = 2 * kRowBytes,
                               .end_task = release_tiles};

}  // namespace hearth::backend::cpu
