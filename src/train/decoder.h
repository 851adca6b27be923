// The decoder of every family in training: embedding, layers, last norm, head, as a DecoderShape
// describes them.
#pragma once

#include <memory>
#include <vector>

#include "train/layer.h"
#include "train/model.h"
#include "train/output_head.h"
#include "train/rope_tables.h"

namespace hearth::train {

class Decoder final : public Model {
 public:
  // `config` is the config.json that the shape was read from.
  Decoder(DecoderShape shape, const io::Json& config, const ModelOptions& options);
  ~Decoder() override;

  ModelWeights& weights() override { return weights_; }
  double forward_backward(ops::TrainContext& ctx, const Batch& batch, float gradient_scale,
                          const GradientsReady& ready) override;
  void losses(ops::TrainContext& ctx, const Batch& batch, std::span<float> losses) override;
  void next_logits(ops::TrainContext& ctx, std::span<const int32_t> ids,
                   std::span<float> logits) override;
  io::Json config() const override;
  double flops_per_token(double context) const override;
  double forward_flops_per_token(double context) const override;
  int64_t context_max() const override { return shape_.context; }

 private:
  void add_layers(const Builder& builder);
  void lay_out(int64_t tokens);
  void plan_spares(int64_t tokens);
  template <typename Visit>
  void for_linears(const Visit& visit) const;
  Pass begin(ops::TrainContext& ctx, const Batch& batch);
  void embed(const Pass& pass);
  void embed_backward(const Pass& pass);
  // Leaves the states after the last norm in final_.y.
  void forward(const Pass& pass);
  void backward(const Pass& pass, const GradientsReady& ready);
  Layer::Saved saved_of(size_t layer) const;
  double attention_flops(double context) const;

  const DecoderShape shape_;
  const std::unique_ptr<const io::Json> config_;
  const DType type_;
  const Recompute recompute_;
  ModelWeights weights_;
  WeightId embedding_;
  std::optional<WeightId> positions_;
  std::vector<Layer> layers_;
  std::vector<size_t> first_parameter_;  // of each layer, in weights_.parameters
  std::optional<Norm> norm_;
  std::optional<OutputHead> head_;
  RopeTables ropes_;

  // Activations and temporaries, laid out again for each batch.
  ActivationPool pool_;
  std::vector<TensorView> inputs_;   // of each layer, and the output of the last
  std::vector<Layer::Saved> saved_;  // one for each layer, or one for all with kBlock
  Norm::Saved final_;
  Spares spares_;
};

}  // namespace hearth::train
