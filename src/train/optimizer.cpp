#include "train/optimizer.h"

#include <cmath>

#include "base/error.h"
#include "ops/convert.h"
#include "ops/matmul.h"
#include "ops/optimizer.h"

namespace hearth::train {

OptimizerKind parse_optimizer(const std::string& name, const std::string& where) {
  if (name == "adamw") return OptimizerKind::kAdamw;
  if (name == "muon") return OptimizerKind::kMuon;
  throw_error(ErrorCode::kInvalidArgument, where, "expected adamw or muon, came '{}'", name);
}

Optimizer::Optimizer(const OptimizerOptions& options, const Parameters& parameters)
    : options_(options),
      compute_(parameters.compute_type()),
      first_(Tensor::zeros(DType::kF32, parameters.flat_master().shape)),
      second_(Tensor::zeros(DType::kF32, parameters.flat_master().shape)) {}

void Optimizer::step(ops::TrainContext& ctx, Parameters& parameters, double learning_rate,
                     double gradient_scale) {
  ++steps_;
  for (size_t i = 0; i < parameters.list().size(); ++i) {
    const bool muon = options_.kind == OptimizerKind::kMuon &&
                      parameters.list()[i].kind == ParameterKind::kMatrix;
    if (muon) {
      muon_step(ctx, parameters, i, learning_rate, gradient_scale);
    } else {
      adamw_step(ctx, parameters, i, learning_rate, gradient_scale);
    }
  }
  parameters.refresh(ctx);
}

void Optimizer::adamw_step(ops::TrainContext& ctx, Parameters& parameters, size_t index,
                           double learning_rate, double gradient_scale) {
  const Parameter& p = parameters.list()[index];
  const int64_t end = p.offset + p.count();
  const double steps = static_cast<double>(steps_);
  ops::adamw(
      ctx,
      {.parameter = parameters.flat_master().slice_rows(p.offset, end),
       .gradient = parameters.flat_gradient().slice_rows(p.offset, end),
       .first = first_->slice_rows(p.offset, end),
       .second = second_->slice_rows(p.offset, end),
       .gradient_scale = static_cast<float>(gradient_scale),
       .learning_rate = static_cast<float>(learning_rate),
       .decay = p.kind == ParameterKind::kVector ? 0.0f : static_cast<float>(options_.weight_decay),
       .beta1 = static_cast<float>(options_.beta1),
       .beta2 = static_cast<float>(options_.beta2),
       .epsilon = static_cast<float>(options_.epsilon),
       .bias1 = static_cast<float>(1 - std::pow(options_.beta1, steps)),
       .bias2 = static_cast<float>(1 - std::pow(options_.beta2, steps))});
}

void Optimizer::muon_step(ops::TrainContext& ctx, Parameters& parameters, size_t index,
                          double learning_rate, double gradient_scale) {
  const Parameter& p = parameters.list()[index];
  const TensorView momentum =
      first_->slice_rows(p.offset, p.offset + p.count()).reshape({p.rows, p.cols});
  for (const ParameterPiece& piece : p.pieces) {
    const int64_t end = piece.row_begin + piece.rows;
    muon_piece(ctx, parameters.master(index).slice_rows(piece.row_begin, end),
               parameters.gradient(index).slice_rows(piece.row_begin, end),
               momentum.slice_rows(piece.row_begin, end), learning_rate, gradient_scale);
  }
}

void Optimizer::muon_piece(ops::TrainContext& ctx, TensorView weights, TensorView gradient,
                           TensorView momentum, double learning_rate, double gradient_scale) {
  const int64_t count = weights.shape.count();
  const auto beta = static_cast<float>(options_.momentum);
  const auto scale = static_cast<float>(gradient_scale);
  work_.resize(static_cast<size_t>(count));
  const float* g = gradient.as<float>();
  float* m = momentum.as<float>();
  for (int64_t i = 0; i < count; ++i) {
    m[i] = beta * m[i] + (1.0f - beta) * scale * g[i];
    work_[static_cast<size_t>(i)] = (1.0f - beta) * scale * g[i] + beta * m[i];  // Nesterov
  }
  orthogonalise(ctx, TensorView(work_.data(), DType::kF32, weights.shape), compute_);
  const double longest = static_cast<double>(std::max(weights.rows(), weights.cols()));
  const auto rate = static_cast<float>(learning_rate * 0.2 * std::sqrt(longest));
  const auto keep = static_cast<float>(1.0 - learning_rate * options_.weight_decay);
  float* w = weights.as<float>();
  for (int64_t i = 0; i < count; ++i) w[i] = keep * w[i] - rate * work_[static_cast<size_t>(i)];
}

void orthogonalise(ops::TrainContext& ctx, TensorView x, DType compute) {
  constexpr int kSteps = 5;
  constexpr float kA = 3.4445f;
  constexpr float kB = -4.7750f;
  constexpr float kC = 2.0315f;
  const int64_t m = x.rows();
  const int64_t n = x.cols();
  const int64_t count = m * n;
  float* values = x.as<float>();
  const auto norm = std::sqrt(ops::sum_squares(ctx, x.reshape({count})));
  const auto unit = static_cast<float>(1.0 / (norm + 1e-12));
  for (int64_t i = 0; i < count; ++i) values[i] *= unit;
  // With s the smaller side: G = XXᵀ or XᵀX [s, s], then X = aX + (bG + cG²)X, from that side.
  const int64_t s = std::min(m, n);
  const bool wide = m <= n;
  const auto kNo = ops::Transpose::kNo;
  const auto kYes = ops::Transpose::kYes;
  const auto kReplace = ops::Store::kReplace;
  const Tensor narrow(compute, {m, n});
  const Tensor gram(compute, {s, s});
  const Tensor mix(DType::kF32, {s, s});
  const Tensor mix_narrow(compute, {s, s});
  const Tensor moved(DType::kF32, {m, n});
  const Tensor gram_wide(DType::kF32, {s, s});
  for (int step = 0; step < kSteps; ++step) {
    ops::convert(ctx, x, narrow);
    ops::matmul(ctx, {narrow, wide ? kNo : kYes, narrow, wide ? kYes : kNo, gram_wide, kReplace});
    ops::convert(ctx, gram_wide, gram);
    ops::matmul(ctx, {gram, kNo, gram, kNo, mix, kReplace});
    for (int64_t i = 0; i < s * s; ++i) {
      float& value = mix->as<float>()[i];
      value = kB * gram_wide->as<float>()[i] + kC * value;
    }
    ops::convert(ctx, mix, mix_narrow);
    if (wide) {
      ops::matmul(ctx, {mix_narrow, kNo, narrow, kNo, moved, kReplace});
    } else {
      ops::matmul(ctx, {narrow, kNo, mix_narrow, kNo, moved, kReplace});
    }
    const float* add = moved->as<float>();
    for (int64_t i = 0; i < count; ++i) values[i] = kA * values[i] + add[i];
  }
}

}  // namespace hearth::train
