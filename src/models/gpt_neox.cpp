// GPT-NeoX and Pythia (Black et al. 2022): attention and MLP side by side, each with a LayerNorm of
// its own; part of each head turns; one projection holds q, k and v of head 0, then of head 1, ...
#include "models/decoder.h"
#include "models/families.h"

namespace hearth::models {
namespace {

// x += attention(norm(x)) + mlp(norm'(x)).
struct ParallelLayer {
  nn::LayerNorm attention_norm;
  nn::FusedAttention attention;
  nn::LayerNorm mlp_norm;
  nn::Mlp mlp;

  void forward(nn::Pass& pass, TensorView x, const nn::Angles& angles,
               const ops::KvPages& pages) const {
    const TensorView thought = mlp.forward(pass, mlp_norm.deferred(x));
    nn::add(pass, attention.forward(pass, attention_norm.deferred(x), angles, pages), x);
    nn::add(pass, thought, x);
  }
};

using SerialLayer = nn::PreNormLayer<nn::LayerNorm, nn::FusedAttention, nn::Mlp>;

// Rows of the stored projection, [heads, 3, head_dim], in the order [3, heads, head_dim].
std::vector<int64_t> separate_heads(const Sizes& sizes) {
  std::vector<int64_t> order;
  for (int64_t part = 0; part < 3; ++part) {
    for (int64_t head = 0; head < sizes.heads; ++head) {
      for (int64_t i = 0; i < sizes.head_dim; ++i) {
        order.push_back((head * 3 + part) * sizes.head_dim + i);
      }
    }
  }
  return order;
}

template <typename Layer>
class GptNeoX final : public Decoder<nn::LayerNorm, Layer> {
 public:
  GptNeoX(const Config& config, Weights& weights, const LoadOptions& options) {
    const Sizes sizes = read_sizes(config);
    const float epsilon = static_cast<float>(config.number("layer_norm_eps", 1e-5));
    const ops::Activation activation = read_activation(config, "hidden_act", "gelu");
    const Bias bias = config.is_not_false("attention_bias") ? Bias::kStored : Bias::kNone;
    RopeRequest request = rope_request(sizes, options);
    request.default_partial = 0.25;
    request.theta_key = "rotary_emb_base";
    request.partial_key = "rotary_pct";
    this->describe(config, sizes, read_rope(config, request));

    weights.find_root("embed_in.weight", {"gpt_neox.", ""});
    this->embedding.table = weights.table("embed_in.weight", sizes.vocabulary, sizes.hidden);
    const std::vector<int64_t> order = separate_heads(sizes);
    for (int64_t i = 0; i < sizes.layers; ++i) {
      const std::string at = fmt::format("layers.{}.", i);
      Layer& layer = this->layers.emplace_back();
      layer.attention_norm = weights.layer_norm(at + "input_layernorm", sizes.hidden, epsilon);
      layer.attention.shape = attention_shape(sizes);
      layer.attention.qkv = weights.linear_in_order(
          Part::kAttention, at + "attention.query_key_value", order, sizes.hidden, bias);
      layer.attention.out = weights.linear(Part::kAttention, at + "attention.dense", sizes.hidden,
                                           sizes.hidden, bias);
      layer.mlp_norm = weights.layer_norm(at + "post_attention_layernorm", sizes.hidden, epsilon);
      layer.mlp.up = weights.linear(Part::kMlp, at + "mlp.dense_h_to_4h", sizes.intermediate,
                                    sizes.hidden, Bias::kStored);
      layer.mlp.down = weights.linear(Part::kMlp, at + "mlp.dense_4h_to_h", sizes.hidden,
                                      sizes.intermediate, Bias::kStored);
      layer.mlp.activation = activation;
    }
    this->norm = weights.layer_norm("final_layer_norm", sizes.hidden, epsilon);
    if (config.is_true("tie_word_embeddings")) {
      this->tie_head(weights);
    } else {
      this->own_head(weights.head("embed_out", sizes.vocabulary, sizes.hidden, Bias::kNone));
    }
  }
};

}  // namespace

std::unique_ptr<Model> load_gpt_neox(const Config& config, Weights& weights,
                                     const LoadOptions& options) {
  if (config.is_not_false("use_parallel_residual")) {
    return std::make_unique<GptNeoX<ParallelLayer>>(config, weights, options);
  }
  return std::make_unique<GptNeoX<SerialLayer>>(config, weights, options);
}

}  // namespace hearth::models
