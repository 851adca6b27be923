// The training kernels for avx512bf16.
#include "backend/cpu/internal/train_table.h"
#include "backend/cpu/train_kernels.h"

namespace hearth::backend::cpu {

const ops::TrainKernels& train_kernels_avx512bf16() {
  static constexpr ops::TrainKernels kTable = train_table("avx512bf16");
  return kTable;
}

}  // namespace hearth::backend::cpu
