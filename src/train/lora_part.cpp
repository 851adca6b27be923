#include "train/lora_part.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "ops/accumulate.h"
#include "ops/column_scale.h"
#include "ops/convert.h"
#include "ops/dropout.h"
#include "ops/matmul.h"
#include "train/piece_layout.h"

namespace hearth::train {
namespace {

using ops::Store;
using ops::Transpose;

// The view of [rows, cols] over memory that grows to the largest asked for.
TensorView grown(Tensor& memory, DType dtype, int64_t rows, int64_t cols) {
  const int64_t elements = rows * cols;
  if (memory->empty() || memory->dtype != dtype || memory->shape.count() < elements) {
    memory = Tensor(dtype, {elements});
  }
  return TensorView(memory->data, dtype, {rows, cols});
}

float value_at(TensorView matrix, int64_t row, int64_t col) {
  return matrix.dtype == DType::kF32 ? matrix.row<float>(row)[col]
                                     : bf16_to_float(matrix.row<uint16_t>(row)[col]);
}

double row_square(TensorView matrix, int64_t row) {
  double sum = 0;
  for (int64_t i = 0; i < matrix.cols(); ++i) {
    const double value = value_at(matrix, row, i);
    sum += value * value;
  }
  return sum;
}

Tensor copy_of(const float* from, Shape shape) {
  Tensor copy(DType::kF32, shape);
  std::memcpy(copy->data, from, static_cast<size_t>(shape.count()) * sizeof(float));
  return copy;
}

}  // namespace

TensorView LoraShared::spare(Tensor& memory, DType dtype, int64_t rows, int64_t cols) const {
  return grown(memory, dtype, rows, cols);
}

LoraPart::LoraPart(LoraShape shape, LoraShared& shared, Parameters& parameters)
    : shape_(std::move(shape)), shared_(shared), parameters_(parameters) {
  const Projection& p = shape_.projection;
  const auto matrix = [&](const char* suffix, int64_t rows, int64_t cols, float deviation) {
    Parameter parameter{.rows = rows, .cols = cols, .initial_deviation = deviation};
    parameter.pieces.push_back({adapters::tensor_name(p.name, suffix), 0, rows});
    return parameters.add(std::move(parameter));
  };
  // The deviation of PEFT's first A (kaiming_uniform with a = √5); B is zero, so that training
  // begins at the base.
  const float deviation = 1.0f / std::sqrt(3.0f * static_cast<float>(p.in));
  a_ = matrix(".lora_A.weight", shape_.rank, p.in, deviation);
  b_ = matrix(".lora_B.weight", p.out, shape_.rank, 0);
  scales_ = Tensor(DType::kF32, {shape_.rank});
  std::fill_n(scales_->as<float>(), shape_.rank, shape_.scale);
  if (!shape_.dora) return;
  Parameter magnitude{.kind = ParameterKind::kVector, .rows = p.out, .cols = 1};
  magnitude.pieces.push_back({adapters::tensor_name(p.name, ".lora_magnitude_vector"), 0, p.out});
  magnitude_ = parameters.add(std::move(magnitude));
  inverse_norm_ = Tensor::zeros(DType::kF32, {p.out});
  factor_ = Tensor::zeros(DType::kF32, {p.out});
  row_squares_ = Tensor::zeros(DType::kF32, {p.out});
}

void LoraPart::mask(ops::TrainContext& ctx, TensorView x, TensorView y) const {
  ops::dropout(ctx, {x, y, shared_.dropout, shared_.dropout_key ^ shape_.seed});
}

// x, or what dropout leaves of it.
TensorView LoraPart::masked_input(ops::TrainContext& ctx, TensorView x) const {
  if (shared_.mode != LoraShared::Mode::kTrain || shared_.dropout == 0) return x;
  const TensorView masked = shared_.spare(shared_.input_spare, x.dtype, x.rows(), x.cols());
  mask(ctx, x, masked);
  return masked;
}

// s A x into low_. x [tokens, in].
TensorView LoraPart::low(ops::TrainContext& ctx, TensorView x) {
  const TensorView u = grown(low_, parameters_.compute_type(), x.rows(), shape_.rank);
  ops::matmul(ctx,
              {x, Transpose::kNo, parameters_.compute(a_), Transpose::kYes, u, Store::kReplace});
  ops::scale_columns(ctx, u, scales_, u);
  return u;
}

// y += B of what low() left. y [tokens, out] f32 or bf16.
void LoraPart::add_product(ops::TrainContext& ctx, TensorView y) {
  const TensorView u = grown(low_, parameters_.compute_type(), y.rows(), shape_.rank);
  const TensorView b = parameters_.compute(b_);
  if (y.dtype == DType::kF32) {
    ops::matmul(ctx, {u, Transpose::kNo, b, Transpose::kYes, y, Store::kAdd});
    return;
  }
  const TensorView product = shared_.spare(shared_.output_spare, DType::kF32, y.rows(), y.cols());
  ops::matmul(ctx, {u, Transpose::kNo, b, Transpose::kYes, product, Store::kReplace});
  ops::accumulate(ctx, product, y);
}

void LoraPart::forward(ops::TrainContext& ctx, TensorView x, TensorView weight, TensorView y) {
  if (off()) return;
  low(ctx, masked_input(ctx, x));
  if (!shape_.dora) return add_product(ctx, y);
  refresh_norms(ctx, weight);
  const TensorView whole = grown(whole_, y.dtype, y.rows(), y.cols());
  ops::convert(ctx, y, whole);
  add_product(ctx, whole);
  ops::scale_columns(ctx, whole, factor_, y);
}

// ‖w + s b A‖² = ‖w‖² + 2 s b·(A w) + s² b·(A Aᵀ) b for each row w of W and b of B.
void LoraPart::refresh_norms(ops::TrainContext& ctx, TensorView weight) {
  if (norms_version_ == shared_.version) return;
  norms_version_ = shared_.version;
  const int64_t r = shape_.rank;
  const TensorView a = parameters_.master(a_);
  const Tensor across(DType::kF32, {shape_.projection.out, r});
  const Tensor inner(DType::kF32, {r, r});
  ops::matmul(ctx, {weight, Transpose::kNo, a, Transpose::kYes, across, Store::kReplace});
  ops::matmul(ctx, {a, Transpose::kNo, a, Transpose::kYes, inner, Store::kReplace});
  const float* magnitude = parameters_.vector(magnitude_).as<float>();
  for (int64_t row = 0; row < shape_.projection.out; ++row) {
    const float* b = parameters_.master(b_).row<float>(row);
    double linear = 0, square = 0;
    for (int64_t i = 0; i < r; ++i) {
      linear += double{b[i]} * across->row<float>(row)[i];
      for (int64_t j = 0; j < r; ++j) square += double{b[i]} * b[j] * inner->row<float>(i)[j];
    }
    const double s = shape_.scale;
    const double norm2 = row_squares_->as<float>()[row] + 2 * s * linear + s * s * square;
    const double inverse = 1 / std::sqrt(std::max(norm2, 1e-30));
    inverse_norm_->as<float>()[row] = static_cast<float>(inverse);
    factor_->as<float>()[row] = static_cast<float>(magnitude[row] * inverse);
  }
}

// y = m / norm · whole: dm = Σ dy · whole / norm.
void LoraPart::magnitude_gradient(ops::TrainContext& ctx, TensorView dy) {
  const TensorView whole = grown(whole_, whole_->dtype, dy.rows(), dy.cols());
  const Tensor sums = Tensor::zeros(DType::kF32, {dy.cols()});
  ops::column_dots(ctx, dy, whole, sums);
  float* gradient = parameters_.vector_gradient(magnitude_).as<float>();
  for (int64_t j = 0; j < dy.cols(); ++j) {
    gradient[j] += sums->as<float>()[j] * inverse_norm_->as<float>()[j];
  }
}

void LoraPart::backward(ops::TrainContext& ctx, TensorView x, TensorView dy) {
  if (off()) return;
  if (shape_.dora) {
    magnitude_gradient(ctx, dy);
    ops::scale_columns(ctx, dy, factor_, dy);
  }
  const TensorView input = masked_input(ctx, x);
  const TensorView u = low(ctx, input);
  ops::matmul(ctx, {dy, Transpose::kYes, u, Transpose::kNo, parameters_.gradient(b_), Store::kAdd});
  const TensorView du = grown(dlow_, parameters_.compute_type(), dy.rows(), shape_.rank);
  ops::matmul(ctx,
              {dy, Transpose::kNo, parameters_.compute(b_), Transpose::kNo, du, Store::kReplace});
  ops::scale_columns(ctx, du, scales_, du);
  ops::matmul(ctx,
              {du, Transpose::kYes, input, Transpose::kNo, parameters_.gradient(a_), Store::kAdd});
}

void LoraPart::backward_input(ops::TrainContext& ctx, TensorView, TensorView dx) {
  if (off()) return;
  const TensorView du = grown(dlow_, parameters_.compute_type(), dx.rows(), shape_.rank);
  const bool masked = shared_.mode == LoraShared::Mode::kTrain && shared_.dropout > 0;
  const TensorView a = parameters_.compute(a_);
  if (!masked && dx.dtype == DType::kF32) {
    ops::matmul(ctx, {du, Transpose::kNo, a, Transpose::kNo, dx, Store::kAdd});
    return;
  }
  const TensorView through = shared_.spare(shared_.input_spare, DType::kF32, dx.rows(), dx.cols());
  ops::matmul(ctx, {du, Transpose::kNo, a, Transpose::kNo, through, Store::kReplace});
  if (masked) mask(ctx, through, through);
  ops::accumulate(ctx, through, dx);
}

void LoraPart::set_magnitude(TensorView weight) {
  float* magnitude = parameters_.vector(magnitude_).as<float>();
  for (int64_t row = 0; row < weight.rows(); ++row) {
    const double square = row_square(weight, row);
    row_squares_->as<float>()[row] = static_cast<float>(square);
    magnitude[row] = static_cast<float>(std::sqrt(square));
  }
}

ParameterPiece LoraPart::piece() const {
  const Projection& p = shape_.projection;
  ParameterPiece piece{p.name, 0, p.out, p.layout, p.heads};
  // A transposed file keeps W as [in, out]; B is [out, rank] all the same.
  if (p.layout == PieceLayout::kTransposed) piece.layout = PieceLayout::kRows;
  return piece;
}

adapters::AdapterModule LoraPart::module() const {
  const Projection& p = shape_.projection;
  adapters::AdapterModule module;
  module.name = p.name;
  module.rank = shape_.rank;
  module.scale = shape_.scale;
  module.a = copy_of(parameters_.master(a_).as<float>(), {shape_.rank, p.in});
  const auto in_order = [&](size_t index, Shape shape) {
    const std::vector<float> values =
        in_file_order(parameters_.list()[index], piece(), parameters_.master(index).as<float>());
    return copy_of(values.data(), shape);
  };
  module.b = in_order(b_, {p.out, shape_.rank});
  if (shape_.dora) module.magnitude = in_order(magnitude_, {p.out});
  return module;
}

void LoraPart::load(const adapters::AdapterModule& module) {
  std::memcpy(parameters_.master(a_).data, module.a->data,
              static_cast<size_t>(module.a->shape.count()) * sizeof(float));
  from_file_order(parameters_.list()[b_], piece(), module.b->as<float>(),
                  parameters_.master(b_).as<float>());
  if (!shape_.dora) return;
  from_file_order(parameters_.list()[magnitude_], piece(), module.magnitude->as<float>(),
                  parameters_.master(magnitude_).as<float>());
}

}  // namespace hearth::train
