// One adapter on one projection in training: LoRA (Hu et al. 2021) or DoRA (Liu et al. 2024).
//
//   LoRA   y = W x + s B A d(x)
//   DoRA   y = (m / ‖W + s B A‖ by row) ∘ (W x + s B A d(x))
//
// s is the scale, d dropout in training. DoRA's norm counts as a constant in the backward pass, as
// its paper has it. The part is made by a LoraSet and used by the thread that drives the model.
#pragma once

#include <cstdint>

#include "adapters/peft.h"
#include "train/low_rank.h"

namespace hearth::train {

// What the parts of a set share.
struct LoraShared {
  enum class Mode : uint8_t {
    kOff,    // the base alone
    kExact,  // without dropout
    kTrain,  // with it
  };
  Mode mode = Mode::kExact;
  float dropout = 0;
  uint64_t dropout_key = 0;
  // Changes with the values of A, B and the magnitudes.
  int64_t version = 0;
  Tensor input_spare, output_spare;  // a masked input, a product that is added; grown on demand

  TensorView spare(Tensor& memory, DType dtype, int64_t rows, int64_t cols) const;
};

struct LoraShape {
  Projection projection;
  int64_t rank = 0;
  float scale = 1;
  bool dora = false;
  uint64_t seed = 0;  // of its dropout
};

class LoraPart final : public LowRankPart {
 public:
  LoraPart(LoraShape shape, LoraShared& shared, Parameters& parameters);

  void forward(ops::TrainContext& ctx, TensorView x, TensorView weight, TensorView y) override;
  void backward(ops::TrainContext& ctx, TensorView x, TensorView dy) override;
  void backward_input(ops::TrainContext& ctx, TensorView dy, TensorView dx) override;

  // weight [out, in] f32 or bf16: the frozen projection.
  void set_magnitude(TensorView weight);
  void load(const adapters::AdapterModule& module);
  adapters::AdapterModule module() const;
  const LoraShape& shape() const { return shape_; }

 private:
  bool off() const { return shared_.mode == LoraShared::Mode::kOff; }
  void mask(ops::TrainContext& ctx, TensorView x, TensorView y) const;
  TensorView masked_input(ops::TrainContext& ctx, TensorView x) const;
  TensorView low(ops::TrainContext& ctx, TensorView x);
  void add_product(ops::TrainContext& ctx, TensorView y);
  void refresh_norms(ops::TrainContext& ctx, TensorView weight);
  void magnitude_gradient(ops::TrainContext& ctx, TensorView dy);
  ParameterPiece piece() const;

  LoraShape shape_;
  LoraShared& shared_;
  Parameters& parameters_;
  size_t a_ = 0, b_ = 0, magnitude_ = 0;  // in parameters_
  Tensor scales_;                         // [rank]: the scale, for each
  Tensor low_, dlow_;                     // [tokens, rank] of the compute type
  // DoRA: W x + s B A x of the last forward pass, 1 / norm and magnitude / norm of each row.
  Tensor whole_, inverse_norm_, factor_;
  Tensor row_squares_;  // [out]: of the frozen weight
  int64_t norms_version_ = -1;
};

}  // namespace hearth::train
