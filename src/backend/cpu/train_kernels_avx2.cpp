// The training kernels for avx2.
#include "backend/cpu/internal/train_table.h"
#include "backend/cpu/train_kernels.h"

namespace hearth::backend::cpu {

const ops::TrainKernels& train_kernels_avx2() {
  static constexpr ops::TrainKernels kTable = train_table("avx2");
  return kTable;
}

}  // namespace hearth::backend::cpu
