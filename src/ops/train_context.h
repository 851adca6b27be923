// What every training op is given first: kernels, threads, and scratch memory of one op.
//
// Training ops are the forward passes that save what a backward pass needs, and the backward
// passes. Activations are f32 or bf16 (the compute type of the run); parameters' gradients, norms'
// inputs and losses are always f32. Results do not depend on the number of workers: every sum has
// a fixed order.
#pragma once

#include <cstddef>

#include "ops/context.h"

namespace hearth::ops {

struct TrainKernels;  // ops/train_kernels.h

// Grows to the largest request and stays; the memory of one reserve() is valid until the next.
class Scratch {
 public:
  void* reserve(size_t bytes);  // 64-byte aligned, contents undefined

 private:
  Buffer buffer_;
};

struct TrainContext {
  const TrainKernels& kernels;
  Workers& workers;
  Scratch& scratch;
};

}  // namespace hearth::ops
