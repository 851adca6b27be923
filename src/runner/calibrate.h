// What the projections of a model are given while it reads a text: the mean square of each input
// column, by which quantising weighs errors.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/model.h"
#include "ops/context.h"

namespace hearth::runner {

struct InputMeans {
  // By Linear::slot: the mean square of each column of its input [in]. A projection that was never
  // used has none.
  std::vector<std::vector<float>> projections;
  std::vector<float> head;  // [hidden]
  int64_t tokens = 0;
};

// Runs each text, of at most model.info.max_model_len tokens, from its beginning.
InputMeans measure_inputs(const models::Model& model, ops::Context ctx,
                          std::span<const std::vector<int32_t>> texts);

}  // namespace hearth::runner
