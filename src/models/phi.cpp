// Phi-1, 1.5 and 2 (Li et al. 2023): one LayerNorm feeds attention and MLP side by side, part of
// each head turns, every projection has a bias.
#include "models/decoder.h"
#include "models/families.h"

namespace hearth::models {
namespace {

// Attention whose heads may be layer-normed (qk_layernorm).
struct PhiAttention {
  nn::AttentionShape shape;
  nn::Linear q, k, v, out;
  std::optional<nn::LayerNorm> q_norm, k_norm;

  TensorView forward(nn::Pass& pass, TensorView x, const nn::Angles& angles,
                     const ops::KvPages& pages) const {
    const auto [queries, keys, values] = nn::forward_group<3>(pass, x, {&q, &k, &v});
    if (q_norm) q_norm->forward_heads(pass, queries);
    if (k_norm) k_norm->forward_heads(pass, keys);
    return out.forward(pass, attend(pass, shape, angles, pages, queries, keys, values));
  }
};

// x += attention(norm(x)) + mlp(norm(x)).
struct PhiLayer {
  nn::LayerNorm norm;
  PhiAttention attention;
  nn::Mlp mlp;

  void forward(nn::Pass& pass, TensorView x, const nn::Angles& angles,
               const ops::KvPages& pages) const {
    const TensorView y = norm.forward(pass, x);
    nn::add(pass, attention.forward(pass, y, angles, pages), x);
    nn::add(pass, mlp.forward(pass, y), x);
  }
};

class Phi final : public Decoder<nn::LayerNorm, PhiLayer> {
 public:
  Phi(const Config& config, Weights& weights, const LoadOptions& options) {
    if (config.has("n_embd")) {
      config.refuse(
          "this is Phi in its first layout (phi-msft); take the repository's current "
          "revision, whose model_type is 'phi'");
    }
    const Sizes sizes = read_sizes(config);
    const float epsilon = static_cast<float>(config.number("layer_norm_eps", 1e-5));
    const ops::Activation activation = read_activation(config, "hidden_act", "gelu_new");
    RopeRequest request = rope_request(sizes, options);
    request.default_partial = 0.5;
    describe(config, sizes, read_rope(config, request));

    find_llama_root(weights);
    embedding.table = weights.table("embed_tokens.weight", sizes.vocabulary, sizes.hidden);
    for (int64_t i = 0; i < sizes.layers; ++i) {
      const std::string at = fmt::format("layers.{}.", i);
      PhiLayer& layer = layers.emplace_back();
      layer.norm = weights.layer_norm(at + "input_layernorm", sizes.hidden, epsilon);
      layer.attention = load_phi_attention(config, weights, at + "self_attn.", sizes, epsilon);
      layer.mlp.up = weights.linear(Part::kMlp, at + "mlp.fc1", sizes.intermediate, sizes.hidden,
                                    Bias::kStored);
      layer.mlp.down = weights.linear(Part::kMlp, at + "mlp.fc2", sizes.hidden, sizes.intermediate,
                                      Bias::kStored);
      layer.mlp.activation = activation;
    }
    norm = weights.layer_norm("final_layernorm", sizes.hidden, epsilon);
    if (config.is_true("tie_word_embeddings")) {
      config.refuse("tie_word_embeddings: Phi's head has a matrix and a bias of its own");
    }
    own_head(load_lm_head(weights, sizes, Bias::kStored));
  }

 private:
  static PhiAttention load_phi_attention(const Config& config, Weights& weights,
                                         const std::string& at, const Sizes& sizes, float epsilon) {
    PhiAttention attention;
    attention.shape = attention_shape(sizes);
    const int64_t q_size = attention.shape.q_size();
    const int64_t kv_size = attention.shape.kv_size();
    attention.q =
        weights.linear(Part::kAttention, at + "q_proj", q_size, sizes.hidden, Bias::kStored);
    attention.k =
        weights.linear(Part::kAttention, at + "k_proj", kv_size, sizes.hidden, Bias::kStored);
    attention.v =
        weights.linear(Part::kAttention, at + "v_proj", kv_size, sizes.hidden, Bias::kStored);
    attention.out =
        weights.linear(Part::kAttention, at + "dense", sizes.hidden, q_size, Bias::kStored);
    if (config.is_true("qk_layernorm")) {
      attention.q_norm = weights.layer_norm(at + "q_layernorm", sizes.head_dim, epsilon);
      attention.k_norm = weights.layer_norm(at + "k_layernorm", sizes.head_dim, epsilon);
    }
    return attention;
  }
};

}  // namespace

std::unique_ptr<Model> load_phi(const Config& config, Weights& weights,
                                const LoadOptions& options) {
  return std::make_unique<Phi>(config, weights, options);
}

}  // namespace hearth::models
