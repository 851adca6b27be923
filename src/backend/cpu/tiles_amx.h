// The tile registers of AMX, of a thread.
//
// A thread that has set them up has 8 KiB more for the system to save, and keeps its core from
// resting deeply: so what a kernel sets up when it first needs it, the driver gives back when a
// task is done. Setting up takes about as long as a dozen products, so not each call does it.
#pragma once

#include <cstdint>

namespace hearth::backend::cpu {

// What the instruction reads: of each of eight registers, bytes of a row and rows.
struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t unused[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileShapes) == 64);

// Sets the calling thread's registers up, unless they have these shapes already. `shapes` lives as
// long as the program.
void use_tiles(const TileShapes& shapes);

// Gives them back; nothing where none are set up.
void release_tiles();

}  // namespace hearth::backend::cpu
