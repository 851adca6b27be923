#include "train/parameters.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

#include "ops/convert.h"

namespace hearth::train {
namespace {

// Whole pages of [begin, end) are given back to the system, which hands out zeroed ones when they
// are touched again; the ends are cleared by hand.
void release(const TensorView& flat, int64_t begin, int64_t end) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<uintptr_t>(flat.as<float>() + begin);
  const auto last = reinterpret_cast<uintptr_t>(flat.as<float>() + end);
  const uintptr_t first_page = (first + page - 1) / page * page;
  const uintptr_t last_page = last / page * page;
  const auto clear = [](uintptr_t from, uintptr_t to) {
    std::memset(reinterpret_cast<void*>(from), 0, to - from);
  };
  if (first_page >= last_page) return clear(first, last);
  clear(first, first_page);
  clear(last_page, last);
  void* pages = reinterpret_cast<void*>(first_page);
  if (::madvise(pages, last_page - first_page, MADV_DONTNEED) != 0) clear(first_page, last_page);
}

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

void Parameters::refresh(ops::TrainContext& ctx) { refresh(ctx, 0, size_); }

void Parameters::refresh(ops::TrainContext& ctx, int64_t begin, int64_t end) {
  if (compute_type_ == DType::kF32) return;
  CHECK(begin % kAlignElements == 0 && end % kAlignElements == 0, "elements [{}, {})", begin, end);
  const Shape rows = {(end - begin) / kAlignElements, kAlignElements};
  ops::convert(ctx, master_->slice_rows(begin, end).reshape(rows),
               copy_->slice_rows(begin, end).reshape(rows));
}

void Parameters::clear_gradients() {
  std::memset(gradient_->data, 0, static_cast<size_t>(size_) * sizeof(float));
}

void Parameters::release_gradients(int64_t begin, int64_t end) { release(gradient_, begin, end); }

void Parameters::release_master(int64_t begin, int64_t end) { release(master_, begin, end); }

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

bool Parameters::finite() const {
  const float* values = master_->as<float>();
  return std::all_of(values, values + master_->shape.count(),
                     [](float value) { return std::isfinite(value); });
}

int64_t Parameters::count() const {
  int64_t sum = 0;
  for (const Parameter& parameter : list_) sum += parameter.count();
  return sum;
}

}  // namespace hearth::train
