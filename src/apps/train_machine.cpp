#include "apps/train_machine.h"

#include <algorithm>

#include "backend/cpu/train_kernels.h"
#include "ops/matmul.h"

namespace hearth::apps {

TrainMachine::TrainMachine(int threads) : pool_(threads) {}

ops::TrainContext TrainMachine::context() {
  return {backend::cpu::train_kernels(), pool_, scratch_};
}

double TrainMachine::measure_peak(DType dtype, const Clock& clock) {
  constexpr int64_t kSize = 1024;
  constexpr int kRuns = 8;
  const Tensor a = Tensor::zeros(dtype, {2 * kSize, kSize});
  const Tensor b = Tensor::zeros(dtype, {kSize, kSize});
  const Tensor c(DType::kF32, {2 * kSize, kSize});
  ops::TrainContext ctx = context();
  Nanos best = kSecond;
  for (int i = 0; i < kRuns; ++i) {
    const Nanos begin = clock.now();
    ops::matmul(ctx, {a, ops::Transpose::kNo, b, ops::Transpose::kYes, c, ops::Store::kReplace});
    best = std::min(best, std::max<Nanos>(1, clock.now() - begin));
  }
  const double operations = 2.0 * 2 * kSize * kSize * kSize;
  return operations * static_cast<double>(kSecond) / static_cast<double>(best);
}

}  // namespace hearth::apps
