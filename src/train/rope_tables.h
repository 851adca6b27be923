// Angles of rotary positions, computed as far into a text as batches reach.
#pragma once

#include <vector>

#include "ops/rope_backward.h"
#include "train/shape.h"

namespace hearth::train {

class RopeTables {
 public:
  explicit RopeTables(std::vector<RopeShape> shapes);
  // Tables of at least `positions` rows, one for each shape; valid until the next call.
  const std::vector<ops::RopeTable>& reach(int64_t positions);

 private:
  struct Filled {
    Tensor cos, sin;  // [rows, turning elements / 2] f32
  };
  static Filled fill(const RopeShape& shape, int64_t rows);

  std::vector<RopeShape> shapes_;
  std::vector<Filled> filled_;
  std::vector<ops::RopeTable> tables_;
  int64_t rows_ = 0;
};

}  // namespace hearth::train
