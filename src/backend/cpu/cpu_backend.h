// What a Context on the CPU is made of: kernels for this machine, threads, scratch memory.
//
//   cpu::Backend backend({.threads = 4});
//   ops::Context ctx = backend.context();
#pragma once

#include "backend/cpu/arena.h"
#include "backend/cpu/isa.h"
#include "backend/cpu/thread_pool.h"
#include "ops/kernels.h"
#include "ops/quantize_kernels.h"

namespace hearth::backend::cpu {

// The kernels for the best instruction set that the machine has and `limit` allows. The tables live
// as long as the program.
const ops::Kernels& select_kernels(Isa limit = kIsaMost);

// The same for quantising weights while they are loaded.
const ops::QuantizeKernels& quantize_kernels(Isa limit = kIsaMost);

struct Options {
  int threads = 0;           // with the caller; 0: the cores that this process may use
  Isa isa_limit = kIsaMost;  // for tests and for comparing
};

// Owns the pieces of a Context; lives longer than it.
class Backend {
 public:
  explicit Backend(const Options& options = {});
  ops::Context context() { return {kernels_, pool_, arena_}; }

 private:
  const ops::Kernels& kernels_;
  ThreadPool pool_;
  ChunkArena arena_;
};

}  // namespace hearth::backend::cpu
