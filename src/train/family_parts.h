// What several families have in common: Llama's decoder and its names, readers of rope and heads.
#pragma once

#include <string>
#include <vector>

#include "io/json_fwd.h"
#include "models/config.h"
#include "train/shape.h"

namespace hearth::train {

// Sets the keys of `defaults` that `saved` lacks.
void complete(io::Json& saved, const io::Json& defaults);

RopeShape rope_shape(const models::RopePlan& plan);

NormShape rms_norm(const std::string& name, int64_t n, float epsilon, float offset = 0.0f);
NormShape layer_norm(const std::string& name, int64_t n, float epsilon);

// One module of a file as a projection.
LinearShape linear(const std::string& name, int64_t out, int64_t in, Bias bias,
                   LinearShape::Place place = LinearShape::Place::kInside);

// The embedding, the last norm and the head of files whose modules are named as Llama's.
struct LlamaParts {
  const models::Config& config;
  models::Sizes sizes;
  float epsilon = 1e-6f;
  float norm_offset = 0.0f;
  ops::Activation activation = ops::Activation::kSilu;
  Bias qkv_bias = Bias::kNone;
  Bias out_bias = Bias::kNone;
  Bias mlp_bias = Bias::kNone;

  NormShape norm(const std::string& name) const;
  NormShape head_norm(const std::string& name) const;
  // Serial, with the first rope, seeing everything.
  LayerShape layer(int64_t index) const;
  // Everything but ropes and layers; `tied`: the embedding is the head.
  enum class Head : uint8_t { kOwn, kTied };
  DecoderShape decoder(Head head) const;
  // All of the above, with layers of these windows.
  DecoderShape decoder(Head head, const models::RopePlan& plan,
                       const std::vector<int32_t>& windows) const;
};

std::string layer_name(int64_t index);  // "model.layers.3."

// q, k and v of one attention as a file keeps them apart.
LinearShape split_qkv(const std::string& at, const models::Sizes& sizes, Bias bias);

inline LlamaParts::Head head_of(bool tied) {
  return tied ? LlamaParts::Head::kTied : LlamaParts::Head::kOwn;
}

}  // namespace hearth::train
