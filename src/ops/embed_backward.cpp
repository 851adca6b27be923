#include "ops/embed_backward.h"

#include "ops/train_checks.h"
#include "ops/train_kernels.h"

namespace hearth::ops {

namespace {

void check_ids(std::span<const int32_t> ids, int64_t rows) {
  for (int32_t id : ids) CHECK(id >= 0 && id < rows, "id {} outside a table of {}", id, rows);
}

}  // namespace

void embed_rows(TrainContext& ctx, const EmbedRows& args) {
  check_activation("embed_rows table", args.table, args.table.shape);
  check_matrix("embed_rows y", args.y, static_cast<int64_t>(args.ids.size()), args.table.cols());
  check_ids(args.ids, args.table.rows());
  ctx.kernels.embed_rows(ctx, args);
}

void embed_backward(TrainContext& ctx, const EmbedBackward& args) {
  check_matrix("embed_backward dtable", args.dtable);
  check_matrix("embed_backward dy", args.dy, static_cast<int64_t>(args.ids.size()),
               args.dtable.cols());
  check_ids(args.ids, args.dtable.rows());
  ctx.kernels.embed_backward(ctx, args);
}

}  // namespace hearth::ops
