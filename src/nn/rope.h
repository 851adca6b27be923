// Rotary positions: the frequencies that each scaling rule gives, and the angles of a pass.
//
// Rules that depend on the length of the text (dynamic, longrope) are settled once, when a model is
// loaded, for the longest text it will serve: keys in the cache then never change their meaning
// (docs/models.md). The arithmetic is in f32 in the order of transformers, so that angles agree far
// into a text.
#pragma once

#include <cstdint>
#include <vector>

#include "nn/pass.h"
#include "ops/rope.h"

namespace hearth::nn {

// cos and sin of a pass [rows, rotary / 2]; empty where a model does not turn its heads.
struct Angles {
  TensorView cos;
  TensorView sin;

  // Turns the heads of x [rows, heads, head_dim] in place.
  void turn(Pass& pass, TensorView x) const;
};

struct Rope {
  std::vector<float> inverse_frequency;  // [rotary / 2]
  float scale = 1.0f;                    // on cos and sin

  Angles angles(Pass& pass) const;
};

// What every rule starts from: base^(-2i / dim) over the `dim` turning elements of a head.
struct RopeBase {
  float theta = 10000.0f;
  int64_t dim = 0;
};

Rope rope_default(const RopeBase& base);
// All positions divided by `factor`.
Rope rope_linear(const RopeBase& base, float factor);
// The base grows so that `length` fits: no change while length <= pretrained.
Rope rope_dynamic(const RopeBase& base, float factor, int64_t pretrained, int64_t length);

struct Llama3Scaling {
  float factor = 8.0f;
  float low_freq_factor = 1.0f;
  float high_freq_factor = 4.0f;
  int64_t pretrained = 8192;
};
Rope rope_llama3(const RopeBase& base, const Llama3Scaling& scaling);

struct YarnScaling {
  float factor = 1.0f;
  double beta_fast = 32;
  double beta_slow = 1;
  int64_t pretrained = 4096;
  float attention_factor = 1.0f;
  enum class Bounds : uint8_t { kWhole, kExact } bounds = Bounds::kWhole;
};
Rope rope_yarn(const RopeBase& base, const YarnScaling& scaling);
// The factor on cos and sin that yarn takes when the file states none.
float yarn_attention_factor(double factor, double mscale);

// Every frequency has a factor of its own [dim / 2].
Rope rope_longrope(const RopeBase& base, const std::vector<float>& factors, float attention_factor);

}  // namespace hearth::nn
