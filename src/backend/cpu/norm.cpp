// RMSNorm and LayerNorm: rows over threads.
#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/row_ops.h"

namespace hearth::backend::cpu {
namespace {

void rms_norm(ops::Context& ctx, TensorView x, const ops::RmsNorm& norm, TensorView y) {
  const RowKernels& rows = *cpu_kernels(ctx).rows;
  const float* weight = norm.weight.as<float>();
  for_rows(ctx, x.rows(), x.cols(), [&](int64_t i) {
    rows.rms_norm(x.row<float>(i), weight, norm.epsilon, norm.offset, x.cols(), y.row<float>(i));
  });
}

void layer_norm(ops::Context& ctx, TensorView x, const ops::LayerNorm& norm, TensorView y) {
  const RowKernels& rows = *cpu_kernels(ctx).rows;
  const float* weight = norm.weight.as<float>();
  const float* bias = norm.bias.as<float>();
  for_rows(ctx, x.rows(), x.cols(), [&](int64_t i) {
    rows.layer_norm(x.row<float>(i), weight, bias, norm.epsilon, x.cols(), y.row<float>(i));
  });
}

}  // namespace

void set_norm_kernels(ops::Kernels& kernels) {
  kernels.rms_norm = rms_norm;
  kernels.layer_norm = layer_norm;
}

}  // namespace hearth::backend::cpu
