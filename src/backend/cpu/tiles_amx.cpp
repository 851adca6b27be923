#include "backend/cpu/tiles_amx.h"

#include <immintrin.h>

namespace hearth::backend::cpu {
namespace {

// What this thread's registers are set up for. A thread of a pool works for many products.
thread_local const TileShapes* tiles_of_thread = nullptr;

}  // namespace

void use_tiles(const TileShapes& shapes) {
  if (tiles_of_thread == &shapes) return;
  _tile_loadconfig(&shapes);
  tiles_of_thread = &shapes;
}

void release_tiles() {
  if (tiles_of_thread == nullptr) return;
  _tile_release();
  tiles_of_thread = nullptr;
}

}  // namespace hearth::backend::cpu
