#include "train/parameters.h"

#include <algorithm>
#include <cstring>

#include "ops/convert.h"

namespace hearth::train {
namespace {

constexpr int64_t kAlignElements = 32;  // 64 bytes of bf16

}  // namespace

Parameters::Parameters(DType compute) : compute_type_(compute) {
  CHECK(compute == DType::kF32 || compute == DType::kBF16, "compute in {}", to_string(compute));
}

size_t Parameters::add(Parameter parameter) {
  CHECK(master_->empty(), "a parameter after allocate()");
  parameter.offset = size_;
  size_ += (parameter.count() + kAlignElements - 1) / kAlignElements * kAlignElements;
  list_.push_back(std::move(parameter));
  return list_.size() - 1;
}

void Parameters::allocate() {
  master_ = Tensor::zeros(DType::kF32, {size_});
  gradient_ = Tensor::zeros(DType::kF32, {size_});
  if (compute_type_ == DType::kBF16) copy_ = Tensor::zeros(DType::kBF16, {size_});
}

void Parameters::initialise(Random& random) {
  for (size_t i = 0; i < list_.size(); ++i) {
    const float mean = list_[i].initial_mean;
    const float deviation = list_[i].initial_deviation;
    float* values = master(i).as<float>();
    for (int64_t j = 0; j < list_[i].count(); ++j) {
      values[j] = deviation == 0.0f ? mean : mean + static_cast<float>(random.normal() * deviation);
    }
  }
}

void Parameters::refresh(ops::TrainContext& ctx) {
  if (compute_type_ == DType::kF32) return;
  const int64_t rows = size_ / kAlignElements;
  ops::convert(ctx, master_->reshape({rows, kAlignElements}),
               copy_->reshape({rows, kAlignElements}));
}

void Parameters::clear_gradients() {
  std::memset(gradient_->data, 0, static_cast<size_t>(size_) * sizeof(float));
}

TensorView Parameters::view(const TensorView& flat, size_t index) const {
  const Parameter& parameter = list_[index];
  return flat.slice_rows(parameter.offset, parameter.offset + parameter.count())
      .reshape({parameter.rows, parameter.cols});
}

TensorView Parameters::compute(size_t index) const {
  return view(compute_type_ == DType::kF32 ? master_ : copy_, index);
}

TensorView Parameters::vector(size_t index) const {
  return master(index).reshape({list_[index].count()});
}

TensorView Parameters::vector_gradient(size_t index) const {
  return gradient(index).reshape({list_[index].count()});
}

int64_t Parameters::count() const {
  int64_t sum = 0;
  for (const Parameter& parameter : list_) sum += parameter.count();
  return sum;
}

}  // namespace hearth::train
