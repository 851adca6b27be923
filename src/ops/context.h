// What every op is given first: the kernels to use, the threads to use them on, and scratch memory.
//
// One step on one device has one Context; it is passed, never global, and used by one thread at a
// time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "tensor/tensor.h"

namespace hearth::ops {

struct Kernels;  // ops/kernels.h

// A pool of threads that run one parallel loop at a time. Which thread runs a task never changes
// its result: each task writes its own outputs, and reductions across tasks do not exist. Tasks do
// not throw and do not call run().
class Workers {
 public:
  virtual ~Workers() = default;
  virtual int count() const = 0;
  // Calls body(task, worker) for each task in [0, tasks), worker in [0, count()); returns when all
  // are done.
  virtual void run(int64_t tasks, const std::function<void(int64_t task, int worker)>& body) = 0;
};

// Memory that lives until the end of a step: bump allocation out of chunks that are kept for the
// next step, so that the steady state allocates nothing.
class Arena {
 public:
  // A point to go back to: which chunk was being filled, and how far.
  struct Mark {
    size_t chunk = 0;
    size_t used = 0;
  };

  virtual ~Arena() = default;
  virtual void* allocate(size_t bytes) = 0;  // 64-byte aligned, contents undefined
  virtual void reset() = 0;
  virtual Mark mark() const = 0;
  virtual void release(Mark mark) = 0;  // everything allocated since mark() is free again

  TensorView tensor(DType dtype, Shape shape) {
    return {allocate(static_cast<size_t>(shape.count()) * dtype_bytes(dtype)), dtype, shape};
  }
};

// Frees what a block allocated when it ends: the layers of a model share one set of temporaries.
class ArenaScope {
 public:
  explicit ArenaScope(Arena& arena) : arena_(arena), mark_(arena.mark()) {}
  ~ArenaScope() { arena_.release(mark_); }
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;

 private:
  Arena& arena_;
  Arena::Mark mark_;
};

struct Context {
  const Kernels& kernels;
  Workers& workers;
  Arena& arena;
};

}  // namespace hearth::ops
