// The scratch memory of a Context: chunks that only grow, then one chunk of the size that was
// needed.
#pragma once

#include <cstddef>
#include <vector>

#include "ops/context.h"

namespace hearth::backend::cpu {

class ChunkArena final : public ops::Arena {
 public:
  void* allocate(size_t bytes) override;
  Mark mark() const override { return at_; }
  void release(Mark mark) override;
  // Also replaces many chunks by one that holds them all: after the first large step there is one.
  void reset() override;

  size_t bytes_reserved() const;

 private:
  std::vector<Buffer> chunks_;
  Mark at_;
};

}  // namespace hearth::backend::cpu
