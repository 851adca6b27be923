// How attention and MLP end: a projection back to the residual stream, perhaps with a norm over it.
#pragma once

#include <optional>

#include "train/norm.h"
#include "train/pass.h"

namespace hearth::train {

class BranchEnd {
 public:
  // Only of a branch with a norm.
  struct Saved {
    TensorView sum;     // [tokens, hidden] f32: the norm's input
    Norm::Saved after;  // its y is a spare
  };

  BranchEnd(const LinearShape& out, const std::optional<NormShape>& after, const Builder& builder);

  Saved plan(ActivationPool& pool, int64_t tokens) const;
  // stream += after(out(x)): x [tokens, inner], stream [tokens, hidden] f32.
  void forward(const Pass& pass, TensorView x, const Saved& saved, TensorView stream) const;
  // dx, the gradient of x, from that of the stream.
  void backward(const Pass& pass, TensorView dstream, TensorView x, const Saved& saved,
                TensorView dx) const;

  const Linear& linear() const { return out_; }
  bool has_norm() const { return after_.has_value(); }

 private:
  TensorView sum_gradient(const Pass& pass, TensorView dstream, const Saved& saved) const;

  Linear out_;
  std::optional<Norm> after_;
};

}  // namespace hearth::train
