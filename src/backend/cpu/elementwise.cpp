// Look-ups, residual sums and activations: rows over threads.
#include <cstring>

#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/row_ops.h"

namespace hearth::backend::cpu {
namespace {

// An activation costs about this many times an addition.
constexpr int64_t kActivationWork = 4;

// A packed row is scattered over its block; a step reads few.
void embed_quantized(ops::Context& ctx, std::span<const int32_t> ids, const ops::Weight& table,
                     float factor, TensorView y) {
  const auto scale_row = cpu_kernels(ctx).rows->scale;
  for_rows(ctx, y.rows(), y.cols() * kActivationWork, [&](int64_t t) {
    ops::read_row(table, ids[static_cast<size_t>(t)], y.row<float>(t));
    if (factor != 1.0f) scale_row(factor, y.row<float>(t), y.cols());
  });
}

void embed(ops::Context& ctx, std::span<const int32_t> ids, const ops::Weight& table, float factor,
           TensorView y) {
  if (ops::quantized(table.format)) return embed_quantized(ctx, ids, table, factor, y);
  const auto widen = cpu_kernels(ctx).rows->widen[static_cast<size_t>(table.format)];
  const size_t row_bytes =
      static_cast<size_t>(table.matrix.row_stride) * dtype_bytes(table.matrix.dtype);
  const auto* matrix = static_cast<const char*>(table.matrix.data);
  for_rows(ctx, y.rows(), y.cols(), [&](int64_t t) {
    const auto id = static_cast<size_t>(ids[static_cast<size_t>(t)]);
    widen(matrix + id * row_bytes, factor, y.row<float>(t), y.cols());
  });
}

void gather_rows(ops::Context& ctx, TensorView x, std::span<const int32_t> rows, TensorView y) {
  const size_t row_bytes = static_cast<size_t>(y.cols()) * sizeof(float);
  for_rows(ctx, y.rows(), y.cols(), [&](int64_t i) {
    std::memcpy(y.row<float>(i), x.row<float>(rows[static_cast<size_t>(i)]), row_bytes);
  });
}

void add(ops::Context& ctx, TensorView x, TensorView y) {
  const auto add_row = cpu_kernels(ctx).rows->add;
  for_rows(ctx, x.rows(), x.cols(),
           [&](int64_t i) { add_row(x.row<float>(i), y.row<float>(i), x.cols()); });
}

void activate(ops::Context& ctx, ops::Activation activation, TensorView x) {
  const auto activate_row = cpu_kernels(ctx).rows->activate[static_cast<size_t>(activation)];
  for_rows(ctx, x.rows(), x.cols() * kActivationWork,
           [&](int64_t i) { activate_row(x.row<float>(i), x.cols()); });
}

void gated_activate(ops::Context& ctx, ops::Activation activation, TensorView gate, TensorView up,
                    TensorView y) {
  const auto gated_row = cpu_kernels(ctx).rows->gated[static_cast<size_t>(activation)];
  for_rows(ctx, gate.rows(), gate.cols() * kActivationWork, [&](int64_t i) {
    gated_row(gate.row<float>(i), up.row<float>(i), y.row<float>(i), gate.cols());
  });
}

void soft_cap(ops::Context& ctx, float cap, TensorView x) {
  const auto soft_cap_row = cpu_kernels(ctx).rows->soft_cap;
  for_rows(ctx, x.rows(), x.cols() * kActivationWork,
           [&](int64_t i) { soft_cap_row(cap, x.row<float>(i), x.cols()); });
}

void scale(ops::Context& ctx, float factor, TensorView x) {
  const auto scale_row = cpu_kernels(ctx).rows->scale;
  for_rows(ctx, x.rows(), x.cols(),
           [&](int64_t i) { scale_row(factor, x.row<float>(i), x.cols()); });
}

}  // namespace

void set_elementwise_kernels(ops::Kernels& kernels) {
  kernels.embed = embed;
  kernels.gather_rows = gather_rows;
  kernels.add = add;
  kernels.activate = activate;
  kernels.gated_activate = gated_activate;
  kernels.soft_cap = soft_cap;
  kernels.scale = scale;
}

}  // namespace hearth::backend::cpu
