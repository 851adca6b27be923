// A projection in training: y = x Wᵀ + b, trained or frozen, with a place where adapters join.
//
// A trained matrix of several modules (q, k, v) is one product. A frozen one is a product a module,
// each read where the file has it; quantised ones are unpacked into a spare first.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "ops/matmul.h"
#include "train/activations.h"
#include "train/low_rank.h"
#include "train/weights.h"

namespace hearth::train {

// What a projection borrows during a pass.
struct LinearSpares {
  TensorView matrix;  // [elements] of the compute type: the largest quantised piece
  TensorView sum;     // [tokens, out] f32: the largest output that adapters join and that is added
};

class Linear {
 public:
  Linear(const LinearShape& shape, float deviation, ParameterKind kind, ModelWeights& weights,
         LowRankMaker* maker);
  // Over a matrix that something else owns: the embedding table as the head.
  Linear(WeightId shared, ModelWeights& weights);

  // y = x Wᵀ + b, or y += with Store::kAdd. x [tokens, in], y [tokens, out]; rows may be strided.
  void forward(ops::TrainContext& ctx, const LinearSpares& spares, TensorView x, TensorView y,
               ops::Store store) const;
  // Gradients of the weights are added; dx = dy W is replaced. Where adapters joined, dy is
  // overwritten.
  void backward(ops::TrainContext& ctx, const LinearSpares& spares, TensorView dy, TensorView x,
                TensorView dx) const;

  int64_t out() const { return out_; }
  int64_t in() const { return in_; }
  bool joined() const;  // by an adapter
  // A multiply-add counts as two.
  double forward_flops_per_token() const;
  double flops_per_token() const;  // and backward
  // Elements of the largest piece that has to be unpacked.
  int64_t unpacked_elements() const;

 private:
  struct Piece {
    int64_t begin = 0;  // columns of y
    int64_t end = 0;
    std::unique_ptr<LowRankPart> part;
  };
  TensorView matrix_of(ops::TrainContext& ctx, const LinearSpares& spares, size_t piece) const;
  void product(ops::TrainContext& ctx, const LinearSpares& spares, TensorView x, TensorView y,
               ops::Store store) const;
  void join(ops::TrainContext& ctx, const LinearSpares& spares, TensorView x, TensorView y) const;
  void input_gradient(ops::TrainContext& ctx, const LinearSpares& spares, TensorView dy,
                      TensorView dx) const;

  ModelWeights& weights_;
  WeightId weight_;
  std::optional<WeightId> bias_;
  int64_t out_ = 0;
  int64_t in_ = 0;
  std::vector<Piece> pieces_;
};

}  // namespace hearth::train
