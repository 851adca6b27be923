#include "train/linear.h"

#include <algorithm>

#include "ops/accumulate.h"
#include "ops/bias_backward.h"
#include "ops/unpack.h"

namespace hearth::train {
namespace {

Parameter parameter_of(const LinearShape& shape, const char* suffix, int64_t cols) {
  Parameter p{.cols = cols};
  for (const PieceShape& piece : shape.pieces) {
    p.pieces.push_back({piece.name + suffix, p.rows, piece.rows, piece.layout, piece.heads});
    p.rows += piece.rows;
  }
  return p;
}

WeightId add_matrix(const LinearShape& shape, float deviation, ParameterKind kind,
                    ModelWeights& weights) {
  Parameter p = parameter_of(shape, ".weight", shape.in);
  p.kind = kind;
  p.initial_deviation = deviation;
  return weights.add(std::move(p));
}

WeightId add_bias(const LinearShape& shape, ModelWeights& weights) {
  Parameter p = parameter_of(shape, ".bias", 1);
  p.kind = ParameterKind::kVector;
  return weights.add(std::move(p));
}

}  // namespace

Linear::Linear(const LinearShape& shape, float deviation, ParameterKind kind, ModelWeights& weights,
               LowRankMaker* maker)
    : weights_(weights),
      weight_(add_matrix(shape, deviation, kind, weights)),
      out_(shape.out()),
      in_(shape.in) {
  if (shape.bias == Bias::kStored) bias_ = add_bias(shape, weights);
  int64_t begin = 0;
  for (const PieceShape& piece : shape.pieces) {
    Piece& added = pieces_.emplace_back();
    added.begin = begin;
    added.end = begin += piece.rows;
    if (maker == nullptr) continue;
    added.part =
        maker->make({piece.name, piece.rows, in_, piece.layout, piece.heads}, weights.parameters);
  }
}

Linear::Linear(WeightId shared, ModelWeights& weights)
    : weights_(weights),
      weight_(shared),
      out_(weights.shape(shared).rows),
      in_(weights.shape(shared).cols) {
  pieces_.push_back({0, out_, nullptr});
}

bool Linear::joined() const {
  return std::any_of(pieces_.begin(), pieces_.end(),
                     [](const Piece& piece) { return piece.part != nullptr; });
}

double Linear::forward_flops_per_token() const {
  return 2 * static_cast<double>(out_) * static_cast<double>(in_);
}

double Linear::flops_per_token() const {
  // A frozen matrix has no product for its own gradient.
  return (ModelWeights::trained(weight_) ? 3 : 2) * forward_flops_per_token();
}

int64_t Linear::unpacked_elements() const {
  if (ModelWeights::trained(weight_)) return 0;
  int64_t largest = 0;
  for (size_t i = 0; i < pieces_.size(); ++i) {
    if (!ops::quantized(weights_.frozen_piece(weight_, i).format)) continue;
    largest = std::max(largest, (pieces_[i].end - pieces_[i].begin) * in_);
  }
  return largest;
}

// The rows of one piece as a product reads them.
TensorView Linear::matrix_of(ops::TrainContext& ctx, const LinearSpares& spares,
                             size_t piece) const {
  const Piece& range = pieces_[piece];
  if (ModelWeights::trained(weight_)) {
    return weights_.parameters.compute(weight_.index).slice_rows(range.begin, range.end);
  }
  const ops::Weight& stored = weights_.frozen_piece(weight_, piece);
  if (!ops::quantized(stored.format)) return stored.matrix;
  const TensorView matrix =
      spares.matrix.slice_rows(0, stored.out * stored.in).reshape({stored.out, stored.in});
  ops::unpack(ctx, stored, matrix);
  return matrix;
}

void Linear::product(ops::TrainContext& ctx, const LinearSpares& spares, TensorView x, TensorView y,
                     ops::Store store) const {
  using ops::Transpose;
  if (ModelWeights::trained(weight_)) {
    const TensorView matrix = weights_.parameters.compute(weight_.index);
    ops::matmul(ctx, {x, Transpose::kNo, matrix, Transpose::kYes, y, store});
    return;
  }
  for (size_t i = 0; i < pieces_.size(); ++i) {
    ops::matmul(ctx, {x, Transpose::kNo, matrix_of(ctx, spares, i), Transpose::kYes,
                      y.slice_cols(pieces_[i].begin, pieces_[i].end), store});
  }
}

void Linear::join(ops::TrainContext& ctx, const LinearSpares& spares, TensorView x,
                  TensorView y) const {
  for (size_t i = 0; i < pieces_.size(); ++i) {
    const Piece& piece = pieces_[i];
    if (piece.part == nullptr) continue;
    piece.part->forward(ctx, x, matrix_of(ctx, spares, i), y.slice_cols(piece.begin, piece.end));
  }
}

void Linear::forward(ops::TrainContext& ctx, const LinearSpares& spares, TensorView x, TensorView y,
                     ops::Store store) const {
  if (joined() && store == ops::Store::kAdd) {
    // Parts see the projection alone.
    const TensorView alone = spares.sum.slice_rows(0, y.rows()).slice_cols(0, out_);
    product(ctx, spares, x, alone, ops::Store::kReplace);
    join(ctx, spares, x, alone);
    ops::accumulate(ctx, alone, y);
  } else {
    product(ctx, spares, x, y, store);
    join(ctx, spares, x, y);
  }
  if (bias_) ops::bias_add(ctx, weights_.vector(*bias_), y);
}

void Linear::input_gradient(ops::TrainContext& ctx, const LinearSpares& spares, TensorView dy,
                            TensorView dx) const {
  using ops::Store;
  using ops::Transpose;
  if (ModelWeights::trained(weight_)) {
    ops::matmul(ctx, {dy, Transpose::kNo, weights_.parameters.compute(weight_.index),
                      Transpose::kNo, dx, Store::kReplace});
    return;
  }
  for (size_t i = 0; i < pieces_.size(); ++i) {
    ops::matmul(ctx, {dy.slice_cols(pieces_[i].begin, pieces_[i].end), Transpose::kNo,
                      matrix_of(ctx, spares, i), Transpose::kNo, dx,
                      i == 0 ? Store::kReplace : Store::kAdd});
  }
}

void Linear::backward(ops::TrainContext& ctx, const LinearSpares& spares, TensorView dy,
                      TensorView x, TensorView dx) const {
  using ops::Transpose;
  if (bias_ && ModelWeights::trained(*bias_)) {
    ops::bias_backward(ctx, dy, weights_.vector_gradient(*bias_));
  }
  for (const Piece& piece : pieces_) {
    if (piece.part) piece.part->backward(ctx, x, dy.slice_cols(piece.begin, piece.end));
  }
  if (ModelWeights::trained(weight_)) {
    ops::matmul(ctx, {dy, Transpose::kYes, x, Transpose::kNo, weights_.gradient(weight_),
                      ops::Store::kAdd});
  }
  input_gradient(ctx, spares, dy, dx);
  for (const Piece& piece : pieces_) {
    if (piece.part) piece.part->backward_input(ctx, dy.slice_cols(piece.begin, piece.end), dx);
  }
}

}  // namespace hearth::train
