// What Gemma 2 and 3 have in common: the sandwich of norms, and norms that store weight - 1.
#pragma once

#include "models/decoder.h"

namespace hearth::models {

constexpr int64_t kGemmaHeadDim = 256;  // of a file without head_dim

// x += after(attention(before(x))); x += after(mlp(before(x))).
struct GemmaLayer {
  nn::RmsNorm before_attention, after_attention;
  nn::Attention attention;
  nn::RmsNorm before_mlp, after_mlp;
  nn::GatedMlp mlp;

  // x [rows, hidden], in place.
  void forward(nn::Pass& pass, TensorView x, const nn::Angles& angles,
               const ops::KvPages& pages) const;
};

// 0 where the file says null.
double soft_cap(const Config& config, const char* key, double absent);
int64_t gemma_window(const Config& config);
// Scores are scaled by 1 / sqrt(query_pre_attn_scalar).
nn::AttentionShape gemma_attention_shape(const Config& config, const Sizes& sizes);
nn::RmsNorm gemma_norm(const Config& config, Weights& weights, const std::string& name, int64_t n);
GemmaLayer load_gemma_layer(const Config& config, Weights& weights, const std::string& at,
                            const Sizes& sizes, const nn::AttentionShape& shape);

}  // namespace hearth::models
