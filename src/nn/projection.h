// A projection of a model as adapters see it: its name, and what they need to know of its matrix.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ops/weight.h"

namespace hearth::nn {

// Its index in models::Model::projections is the Linear's slot.
struct Projection {
  // Some outputs of a fused projection, under the name that they have where it is not fused.
  struct Part {
    std::string name;  // "model.layers.0.self_attn.q_proj"
    int64_t begin = 0;
    int64_t end = 0;
  };

  std::string name;  // "model.layers.0.self_attn.qkv_proj"
  int64_t out = 0;
  int64_t in = 0;
  ops::Weight weight;          // a view of the Linear's
  TensorView bias;             // likewise; [out] f32 or empty
  std::vector<int64_t> order;  // output i is output order[i] of the checkpoint; empty: the same
  std::vector<Part> parts;     // of a fused one; else empty
};

}  // namespace hearth::nn
