#include "ops/attention_backward.h"

#include "ops/train_checks.h"
#include "ops/train_kernels.h"

namespace hearth::ops {
namespace {

void check_forward(const AttentionSave& args) {
  CHECK(args.q.shape.rank() == 3 && args.k.shape.rank() == 3,
        "attention_save: expected [tokens, heads, head_dim]");
  const int64_t tokens = args.q.rows();
  const int64_t heads = args.q.shape[1];
  const int64_t head_dim = args.q.shape[2];
  check_activation("attention_save q", args.q, args.q.shape);
  check_activation("attention_save k", args.k, {tokens, args.k.shape[1], head_dim});
  check_activation("attention_save v", args.v, args.k.shape);
  check_activation("attention_save out", args.out, args.q.shape);
  check_same_type("attention_save k", args.k, args.q);
  check_same_type("attention_save v", args.v, args.q);
  check_same_type("attention_save out", args.out, args.q);
  check_matrix("attention_save lse", args.lse, tokens, heads);
  CHECK(head_dim % 2 == 0, "attention_save: head_dim {} is odd", head_dim);
  CHECK(args.k.shape[1] > 0 && heads % args.k.shape[1] == 0,
        "attention_save: {} heads are no multiple of {} key/value heads", heads, args.k.shape[1]);
  CHECK(args.window >= 0 && args.softcap >= 0.0f, "attention_save: window {}, softcap {}",
        args.window, args.softcap);
  int64_t next = 0;
  for (const Segment& segment : args.segments) {
    CHECK(segment.begin == next && segment.count > 0, "attention_save: a segment at {} of {} rows",
          segment.begin, segment.count);
    next += segment.count;
  }
  CHECK(next == tokens, "attention_save: segments cover {} of {} rows", next, tokens);
}

}  // namespace

void attention_save(TrainContext& ctx, const AttentionSave& args) {
  check_forward(args);
  ctx.kernels.attention_save(ctx, args);
}

void attention_backward(TrainContext& ctx, const AttentionBackward& args) {
  check_forward(args.forward);
  check_activation("attention_backward dout", args.dout, args.forward.q.shape);
  check_activation("attention_backward dq", args.dq, args.forward.q.shape);
  check_activation("attention_backward dk", args.dk, args.forward.k.shape);
  check_activation("attention_backward dv", args.dv, args.forward.k.shape);
  ctx.kernels.attention_backward(ctx, args);
}

}  // namespace hearth::ops
