// What training commands run on: kernels of this machine, threads, scratch memory.
#pragma once

#include <memory>

#include "backend/cpu/thread_pool.h"
#include "base/clock.h"
#include "ops/train_context.h"

namespace hearth::apps {

class TrainMachine {
 public:
  // 0: one thread for each core.
  explicit TrainMachine(int threads);
  ops::TrainContext context();
  ops::Workers& workers() { return pool_; }
  // Operations a second of a large matrix product in `dtype`: the best of a few.
  double measure_peak(DType dtype, const Clock& clock);

 private:
  backend::cpu::ThreadPool pool_;
  ops::Scratch scratch_;
};

}  // namespace hearth::apps
