#include "train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <utility>

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
    : Optimizer(options, parameters, {{0, parameters.flat_master().shape.count(), 0}}) {}

Optimizer::Optimizer(const OptimizerOptions& options, const Parameters& parameters,
                     std::vector<OwnedRange> owned)
    : options_(options), compute_(parameters.compute_type()), owned_(std::move(owned)) {
  int64_t count = 0;
  for (const OwnedRange& range : owned_) {
    CHECK(range.local == count, "a range begins at {}, not {}", range.local, count);
    count += range.count();
  }
  first_ = Tensor::zeros(DType::kF32, {count});
  second_ = Tensor::zeros(DType::kF32, {count});
}

void Optimizer::step(ops::TrainContext& ctx, Parameters& parameters, TensorView gradients,
                     double learning_rate, double gradient_scale) {
  CHECK(gradients.shape == first_->shape, "gradients {} for moments {}",
        gradients.shape.to_string(), first_->shape.to_string());
  ++steps_;
  const Step step{parameters, gradients, learning_rate, gradient_scale};
  for (const OwnedRange& range : owned_) {
    step_range(ctx, step, range);
    parameters.refresh(ctx, range.begin, range.end);
  }
}

void Optimizer::step_range(ops::TrainContext& ctx, const Step& step, const OwnedRange& range) {
  const std::span<const Parameter> list = step.parameters.list();
  for (size_t i = 0; i < list.size(); ++i) {
    const Parameter& p = list[i];
    const int64_t begin = std::max(range.begin, p.offset);
    const int64_t end = std::min(range.end, p.offset + p.count());
    if (begin >= end) continue;
    const OwnedRange part{begin, end, range.local + begin - range.begin};
    if (options_.kind == OptimizerKind::kMuon && p.kind == ParameterKind::kMatrix) {
      muon_step(ctx, step, i, part);
    } else {
      adamw_step(ctx, step, p, part);
    }
  }
}

void Optimizer::adamw_step(ops::TrainContext& ctx, const Step& step, const Parameter& p,
                           const OwnedRange& part) {
  const int64_t local_end = part.local + part.count();
  const double steps = static_cast<double>(steps_);
  ops::adamw(
      ctx,
      {.parameter = step.parameters.flat_master().slice_rows(part.begin, part.end),
       .gradient = step.gradients.slice_rows(part.local, local_end),
       .first = first_->slice_rows(part.local, local_end),
       .second = second_->slice_rows(part.local, local_end),
       .gradient_scale = static_cast<float>(step.gradient_scale),
       .learning_rate = static_cast<float>(step.learning_rate),
       .decay = p.kind == ParameterKind::kVector ? 0.0f : static_cast<float>(options_.weight_decay),
       .beta1 = static_cast<float>(options_.beta1),
       .beta2 = static_cast<float>(options_.beta2),
       .epsilon = static_cast<float>(options_.epsilon),
       .bias1 = static_cast<float>(1 - std::pow(options_.beta1, steps)),
       .bias2 = static_cast<float>(1 - std::pow(options_.beta2, steps))});
}

void Optimizer::muon_step(ops::TrainContext& ctx, const Step& step, size_t index,
                          const OwnedRange& part) {
  const Parameter& p = step.parameters.list()[index];
  for (const ParameterPiece& piece : p.pieces) {
    const int64_t begin = p.offset + piece.row_begin * p.cols;
    const int64_t end = begin + piece.rows * p.cols;
    if (end <= part.begin || begin >= part.end) continue;
    CHECK(begin >= part.begin && end <= part.end, "Muon owns a part of {}", piece.name);
    const int64_t local = part.local + begin - part.begin;
    const auto own = [&](const TensorView& flat) {
      return flat.slice_rows(local, local + end - begin).reshape({piece.rows, p.cols});
    };
    muon_piece(
        ctx,
        step.parameters.master(index).slice_rows(piece.row_begin, piece.row_begin + piece.rows),
        own(step.gradients), own(first_), step.learning_rate, step.gradient_scale);
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
