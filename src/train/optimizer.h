// AdamW for everything, or Muon for the hidden matrices and AdamW for the rest.
//
// Muon (Jordan et al. 2024) takes the momentum of a matrix, makes its singular values nearly one by
// five Newton-Schulz steps, and moves along that. Its step is scaled by 0.2 * sqrt(max(rows,
// columns)) so that its size matches AdamW's and one learning rate and decay serve both (Liu et
// al. 2025).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "train/parameters.h"

namespace hearth::train {

enum class OptimizerKind : uint8_t { kAdamw, kMuon };

// adamw or muon; anything else throws Error naming `where`.
OptimizerKind parse_optimizer(const std::string& name, const std::string& where);

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::kAdamw;  // of the hidden matrices
  double beta1 = 0.9;                          // AdamW: memory of the mean
  double beta2 = 0.95;                         // AdamW: memory of the square
  double epsilon = 1e-8;                       // AdamW: added to the root of the square
  double weight_decay = 0.1;                   // of matrices and embeddings; norms have none
  double momentum = 0.95;                      // Muon
};

// Elements [begin, end) of the flat buffers that this rank keeps the state of, and where its part
// of that state begins.
struct OwnedRange {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t local = 0;
  int64_t count() const { return end - begin; }
};

class Optimizer {
 public:
  // Keeps the state of all parameters, or of `owned` only: ascending, end to end in the local
  // order; with Muon a matrix is owned whole.
  Optimizer(const OptimizerOptions& options, const Parameters& parameters);
  Optimizer(const OptimizerOptions& options, const Parameters& parameters,
            std::vector<OwnedRange> owned);

  // One step of what is owned, whose compute copies it refreshes. gradients [owned]; they are
  // multiplied by gradient_scale (clipping) on the way.
  void step(ops::TrainContext& ctx, Parameters& parameters, TensorView gradients,
            double learning_rate, double gradient_scale);

  const std::vector<OwnedRange>& owned() const { return owned_; }
  // For checkpoints: both moments, [owned], and the number of steps taken.
  TensorView first() const { return first_; }
  TensorView second() const { return second_; }
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }

 private:
  struct Step {
    Parameters& parameters;
    TensorView gradients;  // [owned]
    double learning_rate = 0;
    double gradient_scale = 1;
  };
  void step_range(ops::TrainContext& ctx, const Step& step, const OwnedRange& range);
  void adamw_step(ops::TrainContext& ctx, const Step& step, const Parameter& p,
                  const OwnedRange& part);
  void muon_step(ops::TrainContext& ctx, const Step& step, size_t index, const OwnedRange& part);
  void muon_piece(ops::TrainContext& ctx, TensorView weights, TensorView gradient,
                  TensorView momentum, double learning_rate, double gradient_scale);

  OptimizerOptions options_;
  DType compute_;
  std::vector<OwnedRange> owned_;
  Tensor first_, second_;
  int64_t steps_ = 0;
  std::vector<float> work_;  // Muon's temporaries
};

// X with singular values pushed towards 1 (quintic Newton-Schulz, five steps), in place.
// x [m, n] f32.
void orthogonalise(ops::TrainContext& ctx, TensorView x, DType compute);

}  // namespace hearth::train
