#include "ops/elementwise.h"

#include "ops/checks.h"

namespace hearth::ops {

void embed(Context& ctx, std::span<const int32_t> ids, const Weight& table, float factor,
           TensorView y) {
  CHECK(!table.empty(), "embed: empty table");
  check_matrix("embed y", y, static_cast<int64_t>(ids.size()), table.in);
  for (int32_t id : ids) CHECK(id >= 0 && id < table.out, "embed: id {} of {}", id, table.out);
  if (!ids.empty()) kernel(ctx.kernels.embed, "embed", ctx.kernels)(ctx, ids, table, factor, y);
}

void gather_rows(Context& ctx, TensorView x, std::span<const int32_t> rows, TensorView y) {
  check_matrix("gather_rows x", x);
  check_matrix("gather_rows y", y, static_cast<int64_t>(rows.size()), x.cols());
  for (int32_t row : rows) CHECK(row >= 0 && row < x.rows(), "row {} of {}", row, x.rows());
  if (rows.empty()) return;
  kernel(ctx.kernels.gather_rows, "gather_rows", ctx.kernels)(ctx, x, rows, y);
}

void add(Context& ctx, TensorView x, TensorView y) {
  check_matrix("add x", x);
  check_matrix("add y", y, x.rows(), x.cols());
  if (x.rows() > 0) kernel(ctx.kernels.add, "add", ctx.kernels)(ctx, x, y);
}

void activate(Context& ctx, Activation activation, TensorView x) {
  check_matrix("activate x", x);
  if (x.rows() > 0) kernel(ctx.kernels.activate, "activate", ctx.kernels)(ctx, activation, x);
}

void gated_activate(Context& ctx, Activation activation, TensorView gate, TensorView up,
                    TensorView y) {
  check_matrix("gated_activate gate", gate);
  check_matrix("gated_activate up", up, gate.rows(), gate.cols());
  check_matrix("gated_activate y", y, gate.rows(), gate.cols());
  if (gate.rows() == 0) return;
  kernel(ctx.kernels.gated_activate, "gated_activate", ctx.kernels)(ctx, activation, gate, up, y);
}

void soft_cap(Context& ctx, float cap, TensorView x) {
  CHECK(cap > 0.0f, "soft_cap: cap {}", cap);
  check_matrix("soft_cap x", x);
  if (x.rows() > 0) kernel(ctx.kernels.soft_cap, "soft_cap", ctx.kernels)(ctx, cap, x);
}

void scale(Context& ctx, float factor, TensorView x) {
  check_matrix("scale x", x);
  if (x.rows() > 0) kernel(ctx.kernels.scale, "scale", ctx.kernels)(ctx, factor, x);
}

}  // namespace hearth::ops
