// The decoder that Llama made common, as parts that family files put together: token embedding,
// pre-norm layers that share one set of angles, a last norm, and the names of its tensors.
#pragma once

#include <string>
#include <vector>

#include "models/config.h"
#include "models/weights.h"
#include "nn/layer.h"

namespace hearth::models {

template <typename Norm, typename Layer>
class Decoder : public Model {
 public:
  TensorView forward(nn::Pass& pass) const override {
    const TensorView x = embedding.forward(pass, pass.tokens);
    const nn::Angles angles = rope.angles(pass);
    for (size_t i = 0; i < layers.size(); ++i) {
      const ops::ArenaScope temporaries(pass.ops.arena);
      layers[i].forward(pass, x, angles, pass.kv.layers[i]);
    }
    return norm.forward(pass, x);
  }

 protected:
  nn::Rope rope;
  std::vector<Layer> layers;
  Norm norm;
};

using LlamaLayer = nn::PreNormLayer<nn::RmsNorm, nn::Attention, nn::GatedMlp>;
using LlamaDecoder = Decoder<nn::RmsNorm, LlamaLayer>;

// Where the tensors of such a file start; multimodal files nest their text model.
void find_llama_root(Weights& weights);

// Qwen's rule: no sliding unless use_sliding_window, and then from layer max_window_layers on.
std::vector<int32_t> read_qwen_windows(const Config& config, int64_t layers);

// The shape of every layer's attention; scale 1 / sqrt(head_dim).
nn::AttentionShape attention_shape(const Sizes& sizes);

struct AttentionBias {
  Bias qkv = Bias::kNone;
  Bias out = Bias::kNone;
};
// `at` is the prefix of the layer: "layers.3.".
nn::Attention load_attention(Weights& weights, const std::string& at, const Sizes& sizes,
                             const nn::AttentionShape& shape, AttentionBias bias);
nn::GatedMlp load_gated_mlp(Weights& weights, const std::string& at, const Sizes& sizes,
                            ops::Activation activation, Bias bias);
// The head of an untied file.
nn::Linear load_lm_head(Weights& weights, const Sizes& sizes, Bias bias);

}  // namespace hearth::models
