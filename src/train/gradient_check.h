// For tests: the gradients of a whole model against central differences of its loss.
#pragma once

#include <cmath>
#include <gtest/gtest.h>
#include <numeric>
#include <vector>

#include "train/model.h"

namespace hearth::train {

// Σ of the losses of a batch.
inline double loss_of(Model& model, ops::TrainContext& ctx, const Batch& batch) {
  std::vector<float> losses(batch.ids.size());
  model.losses(ctx, batch, losses);
  return std::accumulate(losses.begin(), losses.end(), 0.0);
}

// The derivative along the gradient of each parameter, where the signal is largest, against
// central differences with this step. For models that compute in f32.
inline void check_gradients(Model& model, ops::TrainContext& ctx, const Batch& batch, double step,
                            double tolerance) {
  Parameters& parameters = model.parameters();
  parameters.clear_gradients();
  model.forward_backward(ctx, batch, 1.0f);
  for (size_t p = 0; p < parameters.list().size(); ++p) {
    SCOPED_TRACE(parameters.list()[p].pieces[0].name);
    const auto count = static_cast<size_t>(parameters.list()[p].count());
    float* weights = parameters.master(p).as<float>();
    const float* gradient = parameters.gradient(p).as<float>();
    const std::vector<float> saved(weights, weights + count);
    double squares = 0;
    for (size_t i = 0; i < count; ++i) squares += double{gradient[i]} * gradient[i];
    const double length = std::sqrt(squares);
    ASSERT_GT(length, 0);
    const auto moved = [&](double by) {
      for (size_t i = 0; i < count; ++i) {
        weights[i] = static_cast<float>(saved[i] + by * gradient[i] / length);
      }
      return loss_of(model, ctx, batch);
    };
    const double slope = (moved(step) - moved(-step)) / (2 * step);
    std::copy(saved.begin(), saved.end(), weights);
    EXPECT_NEAR(slope / length, 1.0, tolerance);
  }
}

}  // namespace hearth::train
