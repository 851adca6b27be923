// RMSNorm and LayerNorm: rows over threads.
#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/norm_row.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/row_ops.h"

namespace hearth::backend::cpu {
namespace {

template <typename Norm>
void norm_rows(ops::Context& ctx, TensorView x, const Norm& norm, TensorView y) {
  const RowKernels& rows = *cpu_kernels(ctx).rows;
  for_rows(ctx, x.rows(), x.cols(),
           [&](int64_t i) { norm_row(rows, norm, x.row<float>(i), x.cols(), y.row<float>(i)); });
}

}  // namespace

void set_norm_kernels(ops::Kernels& kernels) {
  kernels.rms_norm = norm_rows<ops::RmsNorm>;
  kernels.layer_norm = norm_rows<ops::LayerNorm>;
}

}  // namespace hearth::backend::cpu
