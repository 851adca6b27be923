// What the trainer asks of a model: parameters, and one forward and backward pass over a batch of
// packed documents. There is one decoder (decoder.h); families describe themselves to it
// (families.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/json_fwd.h"
#include "ops/attention_backward.h"
#include "train/weights.h"

namespace hearth::train {

// Documents laid end to end. A token sees its own document only; positions start again at each.
struct Batch {
  std::vector<int32_t> ids;
  std::vector<int32_t> targets;    // the next token, or ops::kIgnoreTarget
  std::vector<int32_t> positions;  // inside the document
  std::vector<ops::Segment> segments;
  // Of each token's gradient (preference losses); empty: all 1. Losses are not multiplied.
  std::vector<float> weights;

  int64_t tokens() const { return static_cast<int64_t>(ids.size()); }
  int64_t target_count() const;
  // Appends tokens [0, n) as one document that predicts tokens [1, n]; learn[i] false: the
  // prediction of tokens[i] does not count. `learn` empty: all count.
  void append(std::span<const int32_t> tokens, std::span<const uint8_t> learn = {});
  // Appends all tokens as one document that is read and predicts nothing.
  void append_read_only(std::span<const int32_t> tokens);
  void clear();
};

// Which activations are kept for the backward pass.
enum class Recompute : uint8_t {
  kNone,   // all are kept
  kBlock,  // only each block's input is; the rest is computed a second time
};

// The backward pass writes no gradient at or behind element `from` of the flat buffers any more.
using GradientsReady = std::function<void(int64_t from)>;

class Model {
 public:
  virtual ~Model() = default;
  virtual ModelWeights& weights() = 0;
  // What is trained.
  Parameters& parameters() { return weights().parameters; }
  // Σ of losses of the batch in nats; gradients of gradient_scale · Σ are added to the parameters'.
  // `ready`, where there is one, is told as they become final, from the end of the flat buffers to
  // their beginning.
  virtual double forward_backward(ops::TrainContext& ctx, const Batch& batch, float gradient_scale,
                                  const GradientsReady& ready = {}) = 0;
  // The loss of each token alone (0 where ignored), without gradients.
  virtual void losses(ops::TrainContext& ctx, const Batch& batch, std::span<float> losses) = 0;
  // What may follow the last of `ids`, the tokens of one document; logits [vocab].
  virtual void next_logits(ops::TrainContext& ctx, std::span<const int32_t> ids,
                           std::span<float> logits) = 0;
  // The config.json of Hugging Face's form.
  virtual io::Json config() const = 0;
  // Multiply-adds count as two; forward and backward of one token with `context` tokens before it.
  virtual double flops_per_token(double context) const = 0;
  virtual double forward_flops_per_token(double context) const = 0;
  virtual int64_t context_max() const = 0;
};

class LowRankMaker;  // train/low_rank.h

struct ModelOptions {
  DType compute = DType::kBF16;            // of products: bf16 or f32; sums are f32
  Recompute recompute = Recompute::kNone;  // which activations are kept
  Training training = Training::kTrained;  // of the model's own weights
  LowRankMaker* low_rank = nullptr;        // adapters that join while the model is built
};

// Finds the family of a config.json; `where` names it in errors. The weights are not there yet:
// Parameters::initialise() or load_weights().
std::unique_ptr<Model> make_model(const io::Json& config, const ModelOptions& options,
                                  const std::string& where);

}  // namespace hearth::train
