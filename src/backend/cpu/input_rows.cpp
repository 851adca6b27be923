#include "backend/cpu/input_rows.h"

#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/norm_row.h"

namespace hearth::backend::cpu {
namespace {

InputRows::Rows read_rows(const RowKernels&, std::monostate, const TensorView& x, TensorView) {
  return {x.as<float>(), x.row_stride};
}

template <typename Norm>
InputRows::Rows read_rows(const RowKernels& kernels, const Norm& norm, const TensorView& x,
                          TensorView to) {
  for (int64_t i = 0; i < x.rows(); ++i) {
    norm_row(kernels, norm, x.row<float>(i), x.cols(), to.row<float>(i));
  }
  return {to.as<float>(), to.row_stride};
}

}  // namespace

InputRows::InputRows(ops::Context& ctx, const ops::LinearInput& input, int64_t rows_max)
    : kernels_(*cpu_kernels(ctx).rows), input_(input), rows_max_(rows_max) {
  if (std::holds_alternative<std::monostate>(input.norm)) return;
  normed_ = ctx.arena.tensor(DType::kF32, {ctx.workers.count() * rows_max, input.x.cols()});
}

InputRows::Rows InputRows::read(int64_t begin, int64_t end, int worker) const {
  const TensorView x = input_.x.slice_rows(begin, end);
  TensorView to = normed_;
  if (!to.empty()) to = to.slice_rows(worker * rows_max_, worker * rows_max_ + end - begin);
  return std::visit([&](const auto& norm) { return read_rows(kernels_, norm, x, to); },
                    input_.norm);
}

}  // namespace hearth::backend::cpu
