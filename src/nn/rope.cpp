#include "nn/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"

namespace hearth::nn {
namespace {

constexpr float kTwoPi = static_cast<float>(2 * std::numbers::pi);

// base^(2i / dim), the wavelength over 2 pi.
std::vector<float> powers(const RopeBase& base) {
  CHECK(base.dim > 0 && base.dim % 2 == 0, "{} turning elements", base.dim);
  std::vector<float> result;
  for (int64_t i = 0; i < base.dim; i += 2) {
    result.push_back(std::pow(base.theta, static_cast<float>(i) / static_cast<float>(base.dim)));
  }
  return result;
}

// The dimension whose wave turns `rotations` times within `length` tokens.
double correction_dim(double rotations, const RopeBase& base, int64_t length) {
  return static_cast<double>(base.dim) *
         std::log(static_cast<double>(length) / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(static_cast<double>(base.theta)));
}

}  // namespace

void Angles::turn(Pass& pass, TensorView x) const {
  if (!cos.empty()) ops::rope(pass.ops, x, cos, sin, ops::RopeStyle::kHalves);
}

Angles Rope::angles(Pass& pass) const {
  const int64_t half = static_cast<int64_t>(inverse_frequency.size());
  const Angles angles{pass.temporary(pass.rows(), half), pass.temporary(pass.rows(), half)};
  ops::rope_angles(pass.ops, pass.positions, inverse_frequency, scale, angles.cos, angles.sin);
  return angles;
}

Rope rope_default(const RopeBase& base) {
  Rope rope{powers(base)};
  for (float& f : rope.inverse_frequency) f = 1.0f / f;
  return rope;
}

Rope rope_linear(const RopeBase& base, float factor) {
  Rope rope = rope_default(base);
  for (float& f : rope.inverse_frequency) f /= factor;
  return rope;
}

Rope rope_dynamic(const RopeBase& base, float factor, int64_t pretrained, int64_t length) {
  const double longer =
      static_cast<double>(std::max(length, pretrained)) / static_cast<double>(pretrained);
  const double dim = static_cast<double>(base.dim);
  const double growth = std::pow(factor * longer - (factor - 1), dim / (dim - 2));
  return rope_default({static_cast<float>(base.theta * growth), base.dim});
}

Rope rope_llama3(const RopeBase& base, const Llama3Scaling& s) {
  Rope rope = rope_default(base);
  const float pretrained = static_cast<float>(s.pretrained);
  const float long_wave = pretrained / s.low_freq_factor;
  const float short_wave = pretrained / s.high_freq_factor;
  for (float& f : rope.inverse_frequency) {
    const float wave = kTwoPi / f;
    if (wave < short_wave) continue;
    if (wave > long_wave) {
      f /= s.factor;
      continue;
    }
    const float smooth =
        (pretrained / wave - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
    f = (1 - smooth) * f / s.factor + smooth * f;
  }
  return rope;
}

Rope rope_yarn(const RopeBase& base, const YarnScaling& s) {
  double low = correction_dim(s.beta_fast, base, s.pretrained);
  double high = correction_dim(s.beta_slow, base, s.pretrained);
  if (s.bounds == YarnScaling::Bounds::kWhole) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(base.dim - 1));
  if (low == high) high += 0.001;  // keeps the ramp below finite
  Rope rope{powers(base), s.attention_factor};
  for (size_t i = 0; i < rope.inverse_frequency.size(); ++i) {
    const float ramp = std::clamp(
        (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low), 0.0f,
        1.0f);
    const float keep = 1 - ramp;
    const float power = rope.inverse_frequency[i];
    rope.inverse_frequency[i] = 1 / (s.factor * power) * (1 - keep) + 1 / power * keep;
  }
  return rope;
}

float yarn_attention_factor(double factor, double mscale) {
  return factor <= 1 ? 1.0f : static_cast<float>(0.1 * mscale * std::log(factor) + 1);
}

Rope rope_longrope(const RopeBase& base, const std::vector<float>& factors,
                   float attention_factor) {
  Rope rope{powers(base), attention_factor};
  CHECK(factors.size() == rope.inverse_frequency.size(), "{} factors for {} frequencies",
        factors.size(), rope.inverse_frequency.size());
  for (size_t i = 0; i < factors.size(); ++i) {
    rope.inverse_frequency[i] = 1.0f / (factors[i] * rope.inverse_frequency[i]);
  }
  return rope;
}

}  // namespace hearth::nn
