// The table of kernels of this backend: ops::Kernels with the inner functions that its ops call.
//
//   ops::linear            checks the arguments
//   Kernels::linear        splits the work over threads        (linear.cpp)
//   CpuKernels::linear...  computes one tile, for one instruction set  (linear_avx512.cpp, ...)
#pragma once

#include "backend/cpu/attention_tiles.h"
#include "backend/cpu/isa.h"
#include "backend/cpu/linear_tiles.h"
#include "backend/cpu/lora_tiles.h"
#include "backend/cpu/quantized_tiles.h"
#include "backend/cpu/rows.h"
#include "ops/kernels.h"

namespace hearth::backend::cpu {

struct CpuKernels : ops::Kernels {
  const RowKernels* rows = nullptr;
  LinearTiles linear_tiles;
  const LoraTiles* lora = nullptr;
  const QuantizedTile* quantized = nullptr;
  AttentionTiles attention_tiles;
};

// The functions over rows for an instruction set.
const RowKernels& row_kernels(Isa isa);

inline const CpuKernels& cpu_kernels(const ops::Context& ctx) {
  return static_cast<const CpuKernels&>(ctx.kernels);
}

}  // namespace hearth::backend::cpu
