// The decoder that Llama made common, as parts that family files put together: token embedding,
// layers that share one set of angles, a last norm, and the names of its tensors.
#pragma once

#include <fmt/format.h>
#include <string>
#include <utility>
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
  // What there is to say before a tensor is loaded. Windows come after it.
  void describe(const Config& config, const Sizes& sizes, RopePlan plan) {
    fill_info(config, sizes, this->info);
    fill_info(plan, this->info);
    rope = std::move(plan.rope);
  }

  nn::Rope rope;
  std::vector<Layer> layers;
  Norm norm;
};

using LlamaLayer = nn::PreNormLayer<nn::RmsNorm, nn::Attention, nn::GatedMlp>;

// Where the tensors of such a file start; multimodal files nest their text model.
void find_llama_root(Weights& weights);

// Qwen's rule: no sliding unless use_sliding_window, and then from layer max_window_layers on.
std::vector<int32_t> read_qwen_windows(const Config& config, int64_t layers);

// Whether the file has biases, by a key that says so.
Bias read_bias(const Config& config, const char* key);

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

// A pre-norm decoder with RMSNorms and Llama's names around its layers.
template <typename Layer>
class LlamaLike : public Decoder<nn::RmsNorm, Layer> {
 protected:
  // Loads everything but what is between the norms of a layer: that is `fill`'s, which gets the
  // prefix of the layer ("layers.3."), the shape of its attention, and the layer.
  template <typename Fill>
  void load(const Config& config, Weights& weights, const Sizes& sizes, float epsilon,
            Fill&& fill) {
    find_llama_root(weights);
    this->embedding.table = weights.table("embed_tokens.weight", sizes.vocabulary, sizes.hidden);
    nn::AttentionShape shape = attention_shape(sizes);
    for (int64_t i = 0; i < sizes.layers; ++i) {
      const std::string at = fmt::format("layers.{}.", i);
      shape.scores.window = this->info.windows[static_cast<size_t>(i)];
      Layer& layer = this->layers.emplace_back();
      layer.attention_norm = weights.rms_norm(at + "input_layernorm", sizes.hidden, epsilon);
      layer.mlp_norm = weights.rms_norm(at + "post_attention_layernorm", sizes.hidden, epsilon);
      fill(at, shape, layer);
    }
    this->norm = weights.rms_norm("norm", sizes.hidden, epsilon);
    if (config.is_true("tie_word_embeddings")) {
      this->tie_head(weights);
    } else {
      this->own_head(load_lm_head(weights, sizes, Bias::kNone));
    }
  }
};

}  // namespace hearth::models
