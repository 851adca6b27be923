#include <immintrin.h>

#include "backend/cpu/machine_limits.h"
#include "backend/cpu/tiles_amx.h"

namespace hearth::backend::cpu {
namespace {

// Four sums, since a product takes as long as three of them can begin in, and two factors.
constexpr TileShapes kLimitShapes = {.row_bytes = {64, 64, 64, 64, 64, 64},
                                     .rows = {16, 16, 16, 16, 16, 16}};
constexpr double kInt8Operations = 4.0 * 2 * 16 * 16 * 64;
constexpr double kBf16Operations = 4.0 * 2 * 16 * 16 * 32;

void set_zero() {
  use_tiles(kLimitShapes);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
}

}  // namespace

double int8_products_amx(int64_t iterations) {
  set_zero();
  for (int64_t i = 0; i < iterations; ++i) {
    _tile_dpbsud(0, 4, 5);
    _tile_dpbsud(1, 4, 5);
    _tile_dpbsud(2, 4, 5);
    _tile_dpbsud(3, 4, 5);
  }
  release_tiles();
  return kInt8Operations * static_cast<double>(iterations);
}

double bf16_products_amx(int64_t iterations) {
  set_zero();
  for (int64_t i = 0; i < iterations; ++i) {
    _tile_dpbf16ps(0, 4, 5);
    _tile_dpbf16ps(1, 4, 5);
    _tile_dpbf16ps(2, 4, 5);
    _tile_dpbf16ps(3, 4, 5);
  }
  release_tiles();
  return kBf16Operations * static_cast<double>(iterations);
}

}  // namespace hearth::backend::cpu
