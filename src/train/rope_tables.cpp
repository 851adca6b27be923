#include "train/rope_tables.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace hearth::train {

RopeTables::RopeTables(std::vector<RopeShape> shapes) : shapes_(std::move(shapes)) {}

RopeTables::Filled RopeTables::fill(const RopeShape& shape, int64_t rows) {
  const auto half = static_cast<int64_t>(shape.inverse_frequency.size());
  Filled table{Tensor(DType::kF32, {rows, half}), Tensor(DType::kF32, {rows, half})};
  for (int64_t position = 0; position < rows; ++position) {
    for (int64_t i = 0; i < half; ++i) {
      const double angle =
          static_cast<double>(position) * shape.inverse_frequency[static_cast<size_t>(i)];
      table.cos->row<float>(position)[i] = static_cast<float>(std::cos(angle)) * shape.scale;
      table.sin->row<float>(position)[i] = static_cast<float>(std::sin(angle)) * shape.scale;
    }
  }
  return table;
}

const std::vector<ops::RopeTable>& RopeTables::reach(int64_t positions) {
  if (positions <= rows_) return tables_;
  rows_ = std::max(positions, 2 * rows_);
  filled_.clear();
  tables_.clear();
  for (const RopeShape& shape : shapes_) {
    const Filled& table = filled_.emplace_back(fill(shape, rows_));
    tables_.push_back({table.cos, table.sin});
  }
  return tables_;
}

}  // namespace hearth::train
