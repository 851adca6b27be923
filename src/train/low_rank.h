// The place where adapters join a projection in training: what LoRA and its kin implement.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "train/shape.h"

namespace hearth::train {

// A module of the model that an adapter may join.
struct Projection {
  std::string name;  // as files name it: "model.layers.0.self_attn.q_proj"
  int64_t out = 0;
  int64_t in = 0;
  // In which order a file keeps the rows: an adapter's B has the same.
  PieceLayout layout = PieceLayout::kRows;
  int64_t heads = 0;
};

// One adapter on one projection.
//
// A pass calls forward() once for each batch, or twice where the model recomputes activations; the
// second time must give the same. Then backward() and backward_input(), in this order.
class LowRankPart {
 public:
  virtual ~LowRankPart() = default;
  // y [tokens, out] f32 or bf16, rows strided, holds x Wᵀ without bias and without the residual
  // stream; the part adds its own: y += scale B A x. x [tokens, in]; weight [out, in], as the
  // product read it.
  virtual void forward(ops::TrainContext& ctx, TensorView x, TensorView weight, TensorView y) = 0;
  // Adds to the gradients of the part's parameters. dy [tokens, out], the gradient of what
  // forward() left in y, may be changed in place to that of x Wᵀ where the two differ (DoRA).
  virtual void backward(ops::TrainContext& ctx, TensorView x, TensorView dy) = 0;
  // dx += the gradient that comes through the part: scale Aᵀ Bᵀ dy. dx [tokens, in] f32 or bf16.
  virtual void backward_input(ops::TrainContext& ctx, TensorView dy, TensorView dx) = 0;
};

// Decides which projections get a part. Asked once for each while the model is built; parts add
// their parameters (trained, with the names of their files) to `parameters`, which outlives them.
class LowRankMaker {
 public:
  virtual ~LowRankMaker() = default;
  // Null: none joins here.
  virtual std::unique_ptr<LowRankPart> make(const Projection& projection,
                                            Parameters& parameters) = 0;
};

}  // namespace hearth::train
