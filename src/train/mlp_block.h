// The feed-forward branch of a layer in training: down(f(up(x))), or down(f(gate(x)) * up(x)).
#pragma once

#include "train/branch_end.h"

namespace hearth::train {

class MlpBlock {
 public:
  struct Saved {
    TensorView inner;   // [tokens, intermediate], or gate and up side by side
    TensorView active;  // [tokens, intermediate]: after the activation
    BranchEnd::Saved end;
  };

  MlpBlock(const MlpShape& shape, const Builder& builder);

  Saved plan(ActivationPool& pool, DType type, int64_t tokens) const;
  // stream += mlp(x): x [tokens, hidden], stream [tokens, hidden] f32.
  void forward(const Pass& pass, TensorView x, const Saved& saved, TensorView stream) const;
  // dx [tokens, hidden] f32, replaced, from the gradient of the stream. saved.inner is used up.
  void backward(const Pass& pass, TensorView dstream, TensorView x, const Saved& saved,
                TensorView dx) const;

  const MlpShape& shape() const { return shape_; }
  const Linear& in() const { return in_; }
  const BranchEnd& end() const { return end_; }

 private:
  TensorView gate_of(const Saved& saved) const;
  TensorView up_of(const Saved& saved) const;

  MlpShape shape_;
  Linear in_;
  BranchEnd end_;
};

}  // namespace hearth::train
