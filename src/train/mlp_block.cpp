#include "train/mlp_block.h"

#include "ops/activate_backward.h"
#include "ops/gated_activate_backward.h"

namespace hearth::train {

MlpBlock::MlpBlock(const MlpShape& shape, const Builder& builder)
    : shape_(shape), in_(builder.linear(shape.in)), end_(shape.out, shape.after, builder) {}

MlpBlock::Saved MlpBlock::plan(ActivationPool& pool, DType type, int64_t tokens) const {
  Saved saved;
  saved.inner = pool.take(type, {tokens, in_.out()});
  saved.active = pool.take(type, {tokens, shape_.intermediate});
  saved.end = end_.plan(pool, tokens);
  return saved;
}

TensorView MlpBlock::gate_of(const Saved& saved) const {
  return saved.inner.slice_cols(0, shape_.intermediate);
}

TensorView MlpBlock::up_of(const Saved& saved) const {
  return saved.inner.slice_cols(shape_.intermediate, 2 * shape_.intermediate);
}

void MlpBlock::forward(const Pass& pass, TensorView x, const Saved& saved,
                       TensorView stream) const {
  in_.forward(pass.ops, pass.spares.linear, x, saved.inner, ops::Store::kReplace);
  if (shape_.gate == MlpShape::Gate::kGated) {
    ops::gated_activate_save(pass.ops, shape_.activation, gate_of(saved), up_of(saved),
                             saved.active);
  } else {
    ops::activate_save(pass.ops, shape_.activation, saved.inner, saved.active);
  }
  end_.forward(pass, saved.active, saved.end, stream);
}

void MlpBlock::backward(const Pass& pass, TensorView dstream, TensorView x, const Saved& saved,
                        TensorView dx) const {
  const TensorView dactive = pass.spares.dinner.slice_cols(0, shape_.intermediate);
  end_.backward(pass, dstream, saved.active, saved.end, dactive);
  // What went into the activation is not needed again: its gradient takes its place.
  if (shape_.gate == MlpShape::Gate::kGated) {
    const TensorView gate = gate_of(saved);
    const TensorView up = up_of(saved);
    ops::gated_activate_backward(pass.ops, {shape_.activation, dactive, gate, up, gate, up});
  } else {
    ops::activate_backward(pass.ops, {shape_.activation, dactive, saved.inner, saved.inner});
  }
  in_.backward(pass.ops, pass.spares.linear, saved.inner, x, dx);
}

}  // namespace hearth::train
