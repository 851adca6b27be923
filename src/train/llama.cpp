#include "train/llama.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "io/json.h"
#include "ops/convert.h"
#include "ops/cross_entropy.h"
#include "ops/embed_backward.h"
#include "ops/gated_activate_backward.h"
#include "ops/matmul.h"
#include "ops/rms_norm_backward.h"
#include "ops/rope_backward.h"

namespace hearth::train {
namespace {

using ops::Store;
using ops::Transpose;

struct LlamaShape {
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t context = 0;
  double rope_theta = 10000.0;
  float epsilon = 1e-5f;
  bool tied = false;
  float initializer_range = 0.02f;

  int64_t qkv_rows() const { return (heads + 2 * kv_heads) * head_dim; }
};

double rope_theta_of(const io::Json& config, const std::string& where) {
  const auto parameters = config.find("rope_parameters");  // transformers 5 keeps it there
  if (parameters != config.end() && parameters->is_object()) {
    return io::json_get(*parameters, "rope_theta", 10000.0, where + ".rope_parameters");
  }
  return io::json_get(config, "rope_theta", 10000.0, where);
}

void check_supported(const io::Json& config, const std::string& where) {
  const auto refuse = [&](const char* key, const char* what) {
    throw_error(ErrorCode::kUnsupported, where, "{} ('{}') is not trained here yet", what, key);
  };
  if (io::json_get<std::string>(config, "hidden_act", "silu", where) != "silu") {
    refuse("hidden_act", "an activation other than silu");
  }
  if (io::json_get(config, "attention_bias", false, where)) refuse("attention_bias", "a bias");
  if (io::json_get(config, "mlp_bias", false, where)) refuse("mlp_bias", "a bias");
  const auto scaling = config.find("rope_scaling");
  if (scaling != config.end() && !scaling->is_null()) refuse("rope_scaling", "scaled rope");
}

LlamaShape read_shape(const io::Json& config, const std::string& where) {
  check_supported(config, where);
  LlamaShape s;
  s.vocab_size = io::json_require<int64_t>(config, "vocab_size", where);
  s.hidden_size = io::json_require<int64_t>(config, "hidden_size", where);
  s.intermediate_size = io::json_require<int64_t>(config, "intermediate_size", where);
  s.layers = io::json_require<int64_t>(config, "num_hidden_layers", where);
  s.heads = io::json_require<int64_t>(config, "num_attention_heads", where);
  s.kv_heads = io::json_get(config, "num_key_value_heads", s.heads, where);
  s.context = io::json_get<int64_t>(config, "max_position_embeddings", 2048, where);
  s.rope_theta = rope_theta_of(config, where);
  s.epsilon = io::json_get(config, "rms_norm_eps", 1e-6f, where);
  s.tied = io::json_get(config, "tie_word_embeddings", false, where);
  s.initializer_range = io::json_get(config, "initializer_range", 0.02f, where);
  const auto positive = [&](const char* key, int64_t value) {
    if (value <= 0) {
      throw_error(ErrorCode::kInvalidArgument, where, "'{}' must be above 0, came {}", key, value);
    }
  };
  positive("vocab_size", s.vocab_size);
  positive("hidden_size", s.hidden_size);
  positive("intermediate_size", s.intermediate_size);
  positive("num_hidden_layers", s.layers);
  positive("num_attention_heads", s.heads);
  positive("num_key_value_heads", s.kv_heads);
  positive("max_position_embeddings", s.context);
  s.head_dim = io::json_get(config, "head_dim", s.hidden_size / s.heads, where);
  if (s.heads % s.kv_heads != 0) {
    throw_error(ErrorCode::kInvalidArgument, where,
                "num_attention_heads ({}) must be a multiple of num_key_value_heads ({})", s.heads,
                s.kv_heads);
  }
  if (s.head_dim <= 0 || s.head_dim % 2 != 0) {
    throw_error(ErrorCode::kInvalidArgument, where, "head_dim must be even, came {}", s.head_dim);
  }
  return s;
}

// Where each parameter of a block is in Parameters.
struct Block {
  size_t norm1 = 0, qkv = 0, attention_out = 0, norm2 = 0, gate_up = 0, down = 0;
};

// What the backward pass of one block needs. Each [tokens, ...]; `input` and `middle` f32, the
// others in the compute type.
struct Saved {
  TensorView input;   // of the block
  TensorView norm1;   // RMSNorm of it
  TensorView qkv;     // after rope
  TensorView lse;     // f32
  TensorView mixed;   // attention's output
  TensorView middle;  // input + attention
  TensorView norm2;
  TensorView gate_up;
  TensorView gated;               // silu(gate) * up
  TensorView inverse1, inverse2;  // f32 [tokens]
};

// A block of memory that is filled from the front and grows only when a batch is larger than all
// before.
class Pool {
 public:
  TensorView take(DType dtype, Shape shape) {
    const size_t bytes = static_cast<size_t>(shape.count()) * dtype_bytes(dtype);
    char* at = buffer_.data() == nullptr ? nullptr : static_cast<char*>(buffer_.data()) + used_;
    used_ += (bytes + 63) / 64 * 64;
    return {at, dtype, shape};
  }
  // Runs `plan` (which takes tensors) twice: once to count, then with memory behind the tensors.
  template <typename Plan>
  void lay_out(const Plan& plan) {
    used_ = 0;
    plan();
    if (used_ > buffer_.bytes()) buffer_ = Buffer(used_);
    used_ = 0;
    plan();
  }

 private:
  Buffer buffer_;
  size_t used_ = 0;
};

class Llama final : public Model {
 public:
  Llama(const LlamaShape& shape, DType compute, Recompute recompute);

  Parameters& parameters() override { return parameters_; }
  double forward_backward(ops::TrainContext& ctx, const Batch& batch, float gradient_scale,
                          const GradientsReady& ready) override;
  void losses(ops::TrainContext& ctx, const Batch& batch, std::span<float> losses) override;
  void next_logits(ops::TrainContext& ctx, std::span<const int32_t> ids,
                   std::span<float> logits) override;
  io::Json config() const override;
  double flops_per_token(double context) const override;
  int64_t context_max() const override { return shape_.context; }

 private:
  void add_parameters();
  void fill_rope();
  void lay_out(int64_t tokens);
  Saved plan_saved(int64_t tokens);
  void forward(ops::TrainContext& ctx, const Batch& batch);
  void block_forward(ops::TrainContext& ctx, const Batch& batch, const Block& block,
                     const Saved& saved, TensorView output);
  void block_backward(ops::TrainContext& ctx, const Batch& batch, const Block& block,
                      const Saved& saved);
  void mlp_backward(ops::TrainContext& ctx, const Block& block, const Saved& saved);
  void attention_backward(ops::TrainContext& ctx, const Batch& batch, const Block& block,
                          const Saved& saved);
  enum class Pass : uint8_t { kLossOnly, kGradients };
  void head(ops::TrainContext& ctx, const Batch& batch, Pass pass, float gradient_scale,
            std::span<float> losses);
  TensorView block_input(size_t layer) const { return inputs_[layer]; }
  Saved saved_of(size_t layer) const;
  TensorView heads_of(TensorView qkv, int64_t begin, int64_t count) const;
  void linear(ops::TrainContext& ctx, TensorView x, size_t weight, TensorView y, Store store);
  void linear_backward(ops::TrainContext& ctx, TensorView dy, TensorView x, size_t weight,
                       TensorView dx);
  TensorView in_compute_type(ops::TrainContext& ctx, TensorView x, TensorView spare);

  const LlamaShape shape_;
  const DType type_;
  const Recompute recompute_;
  Parameters parameters_;
  size_t embedding_ = 0, final_norm_ = 0, head_ = 0;
  std::vector<Block> blocks_;
  Tensor rope_cos_, rope_sin_;

  // Activations and temporaries, laid out again for each batch.
  Pool pool_;
  std::vector<TensorView> inputs_;  // of each block, and the output of the last
  std::vector<Saved> saved_;        // one for each block, or one for all with kBlock
  TensorView final_, final_inverse_;
  TensorView dx_, dnorm_, dtemp_, dgated_, dqkv_, logits_, dlogits_;
};

constexpr int64_t kLogitElementsMax = int64_t{4} << 20;  // of one chunk of the output head

Llama::Llama(const LlamaShape& shape, DType compute, Recompute recompute)
    : shape_(shape), type_(compute), recompute_(recompute), parameters_(compute) {
  add_parameters();
  parameters_.allocate();
  fill_rope();
}

void Llama::add_parameters() {
  const LlamaShape& s = shape_;
  const float deviation = s.initializer_range;
  // Each block adds two terms to the residual stream; its last matrices start smaller, so that the
  // stream's size does not grow with depth (GPT-2).
  const float deep = deviation / std::sqrt(2.0f * static_cast<float>(s.layers));
  const auto matrix = [&](ParameterKind kind, int64_t cols, float dev,
                          std::vector<std::pair<std::string, int64_t>> pieces) {
    Parameter p{.kind = kind, .cols = cols, .initial_deviation = dev};
    for (auto& [name, rows] : pieces) {
      p.pieces.push_back({name + ".weight", p.rows, rows});
      p.rows += rows;
    }
    return parameters_.add(std::move(p));
  };
  embedding_ = matrix(ParameterKind::kEmbedding, s.hidden_size, deviation,
                      {{"model.embed_tokens", s.vocab_size}});
  for (int64_t i = 0; i < s.layers; ++i) {
    const std::string at = "model.layers." + std::to_string(i) + ".";
    const auto kMatrix = ParameterKind::kMatrix;
    const auto kVector = ParameterKind::kVector;
    Block b;
    b.norm1 = matrix(kVector, s.hidden_size, 0, {{at + "input_layernorm", 1}});
    b.qkv = matrix(kMatrix, s.hidden_size, deviation,
                   {{at + "self_attn.q_proj", s.heads * s.head_dim},
                    {at + "self_attn.k_proj", s.kv_heads * s.head_dim},
                    {at + "self_attn.v_proj", s.kv_heads * s.head_dim}});
    b.attention_out =
        matrix(kMatrix, s.heads * s.head_dim, deep, {{at + "self_attn.o_proj", s.hidden_size}});
    b.norm2 = matrix(kVector, s.hidden_size, 0, {{at + "post_attention_layernorm", 1}});
    b.gate_up = matrix(
        kMatrix, s.hidden_size, deviation,
        {{at + "mlp.gate_proj", s.intermediate_size}, {at + "mlp.up_proj", s.intermediate_size}});
    b.down = matrix(kMatrix, s.intermediate_size, deep, {{at + "mlp.down_proj", s.hidden_size}});
    blocks_.push_back(b);
  }
  final_norm_ = matrix(ParameterKind::kVector, s.hidden_size, 0, {{"model.norm", 1}});
  head_ = s.tied ? embedding_
                 : matrix(ParameterKind::kEmbedding, s.hidden_size, deviation,
                          {{"lm_head", s.vocab_size}});
}

void Llama::fill_rope() {
  const int64_t half = shape_.head_dim / 2;
  rope_cos_ = Tensor(DType::kF32, {shape_.context, half});
  rope_sin_ = Tensor(DType::kF32, {shape_.context, half});
  for (int64_t i = 0; i < half; ++i) {
    const double frequency = std::pow(
        shape_.rope_theta, -2.0 * static_cast<double>(i) / static_cast<double>(shape_.head_dim));
    for (int64_t position = 0; position < shape_.context; ++position) {
      const double angle = static_cast<double>(position) * frequency;
      rope_cos_->row<float>(position)[i] = static_cast<float>(std::cos(angle));
      rope_sin_->row<float>(position)[i] = static_cast<float>(std::sin(angle));
    }
  }
}

Saved Llama::plan_saved(int64_t tokens) {
  const LlamaShape& s = shape_;
  Saved saved;
  saved.norm1 = pool_.take(type_, {tokens, s.hidden_size});
  saved.qkv = pool_.take(type_, {tokens, s.qkv_rows()});
  saved.lse = pool_.take(DType::kF32, {tokens, s.heads});
  saved.mixed = pool_.take(type_, {tokens, s.heads * s.head_dim});
  saved.middle = pool_.take(DType::kF32, {tokens, s.hidden_size});
  saved.norm2 = pool_.take(type_, {tokens, s.hidden_size});
  saved.gate_up = pool_.take(type_, {tokens, 2 * s.intermediate_size});
  saved.gated = pool_.take(type_, {tokens, s.intermediate_size});
  saved.inverse1 = pool_.take(DType::kF32, {tokens});
  saved.inverse2 = pool_.take(DType::kF32, {tokens});
  return saved;
}

void Llama::lay_out(int64_t tokens) {
  const LlamaShape& s = shape_;
  const int64_t chunk = std::min(tokens, std::max<int64_t>(64, kLogitElementsMax / s.vocab_size));
  pool_.lay_out([&] {
    inputs_.clear();
    saved_.clear();
    for (int64_t i = 0; i <= s.layers; ++i) {
      inputs_.push_back(pool_.take(DType::kF32, {tokens, s.hidden_size}));
    }
    const int64_t kept = recompute_ == Recompute::kBlock ? 1 : s.layers;
    for (int64_t i = 0; i < kept; ++i) saved_.push_back(plan_saved(tokens));
    final_ = pool_.take(type_, {tokens, s.hidden_size});
    final_inverse_ = pool_.take(DType::kF32, {tokens});
    dx_ = pool_.take(DType::kF32, {tokens, s.hidden_size});
    dnorm_ = pool_.take(DType::kF32, {tokens, s.hidden_size});
    dtemp_ = pool_.take(type_, {tokens, s.hidden_size});
    dgated_ = pool_.take(type_, {tokens, std::max(s.intermediate_size, s.heads * s.head_dim)});
    dqkv_ = pool_.take(type_, {tokens, s.qkv_rows()});
    logits_ = pool_.take(DType::kF32, {chunk, s.vocab_size});
    dlogits_ = pool_.take(type_, {chunk, s.vocab_size});
  });
}

Saved Llama::saved_of(size_t layer) const {
  Saved saved = saved_[recompute_ == Recompute::kBlock ? 0 : layer];
  saved.input = inputs_[layer];
  return saved;
}

// Heads [begin, begin + count) of fused q, k, v rows as [tokens, count, head_dim].
TensorView Llama::heads_of(TensorView qkv, int64_t begin, int64_t count) const {
  const int64_t d = shape_.head_dim;
  TensorView heads = qkv.slice_cols(begin * d, (begin + count) * d);
  heads.shape = {qkv.rows(), count, d};
  return heads;
}

void Llama::linear(ops::TrainContext& ctx, TensorView x, size_t weight, TensorView y, Store store) {
  ops::matmul(ctx, {x, Transpose::kNo, parameters_.compute(weight), Transpose::kYes, y, store});
}

// dW += dyᵀ·x; dx = dy·W.
void Llama::linear_backward(ops::TrainContext& ctx, TensorView dy, TensorView x, size_t weight,
                            TensorView dx) {
  ops::matmul(ctx,
              {dy, Transpose::kYes, x, Transpose::kNo, parameters_.gradient(weight), Store::kAdd});
  ops::matmul(
      ctx, {dy, Transpose::kNo, parameters_.compute(weight), Transpose::kNo, dx, Store::kReplace});
}

// x itself where it has the type of products, else its copy in `spare`.
TensorView Llama::in_compute_type(ops::TrainContext& ctx, TensorView x, TensorView spare) {
  if (x.dtype == type_) return x;
  ops::convert(ctx, x, spare);
  return spare;
}

void Llama::block_forward(ops::TrainContext& ctx, const Batch& batch, const Block& block,
                          const Saved& saved, TensorView output) {
  const LlamaShape& s = shape_;
  const ops::RopeTable table{rope_cos_, rope_sin_};
  ops::rms_norm_save(ctx, saved.input, parameters_.vector(block.norm1), s.epsilon, saved.norm1,
                     saved.inverse1);
  linear(ctx, saved.norm1, block.qkv, saved.qkv, Store::kReplace);
  // q and k are neighbours and turn alike.
  ops::rope_turn(ctx, heads_of(saved.qkv, 0, s.heads + s.kv_heads), batch.positions, table,
                 ops::Turn::kForward);
  const int64_t tokens = batch.tokens();
  ops::attention_save(
      ctx, {heads_of(saved.qkv, 0, s.heads), heads_of(saved.qkv, s.heads, s.kv_heads),
            heads_of(saved.qkv, s.heads + s.kv_heads, s.kv_heads),
            saved.mixed.reshape({tokens, s.heads, s.head_dim}), saved.lse, batch.segments,
            1.0f / std::sqrt(static_cast<float>(s.head_dim))});
  ops::convert(ctx, saved.input, saved.middle);
  linear(ctx, saved.mixed, block.attention_out, saved.middle, Store::kAdd);
  ops::rms_norm_save(ctx, saved.middle, parameters_.vector(block.norm2), s.epsilon, saved.norm2,
                     saved.inverse2);
  linear(ctx, saved.norm2, block.gate_up, saved.gate_up, Store::kReplace);
  ops::gated_activate_save(ctx, saved.gate_up.slice_cols(0, s.intermediate_size),
                           saved.gate_up.slice_cols(s.intermediate_size, 2 * s.intermediate_size),
                           saved.gated);
  ops::convert(ctx, saved.middle, output);
  linear(ctx, saved.gated, block.down, output, Store::kAdd);
}

void Llama::forward(ops::TrainContext& ctx, const Batch& batch) {
  CHECK(batch.tokens() > 0, "an empty batch");
  lay_out(batch.tokens());
  ops::embed_rows(ctx, batch.ids, parameters_.master(embedding_), inputs_[0]);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    block_forward(ctx, batch, blocks_[i], saved_of(i), inputs_[i + 1]);
  }
  ops::rms_norm_save(ctx, inputs_.back(), parameters_.vector(final_norm_), shape_.epsilon, final_,
                     final_inverse_);
}

// The output head in chunks of rows, so that the logits never exist whole. With gradients it
// leaves d(loss)/d(final_) in dnorm_.
void Llama::head(ops::TrainContext& ctx, const Batch& batch, Pass pass, float gradient_scale,
                 std::span<float> losses) {
  const int64_t chunk = logits_.rows();
  for (int64_t begin = 0; begin < batch.tokens(); begin += chunk) {
    const int64_t count = std::min(chunk, batch.tokens() - begin);
    const auto first = static_cast<size_t>(begin);
    const TensorView rows = final_.slice_rows(begin, begin + count);
    const TensorView logits = logits_.slice_rows(0, count);
    const TensorView dlogits =
        pass == Pass::kGradients ? dlogits_.slice_rows(0, count) : TensorView{};
    linear(ctx, rows, head_, logits, Store::kReplace);
    ops::cross_entropy(
        ctx, {logits, std::span(batch.targets).subspan(first, static_cast<size_t>(count)),
              gradient_scale, dlogits, losses.subspan(first, static_cast<size_t>(count))});
    if (pass == Pass::kGradients) {
      linear_backward(ctx, dlogits, rows, head_, dnorm_.slice_rows(begin, begin + count));
    }
  }
}

void Llama::mlp_backward(ops::TrainContext& ctx, const Block& block, const Saved& saved) {
  const int64_t inner = shape_.intermediate_size;
  const TensorView dgated = dgated_.slice_cols(0, inner);
  linear_backward(ctx, in_compute_type(ctx, dx_, dtemp_), saved.gated, block.down, dgated);
  // Gate and up are not needed again: their gradients take their place.
  const TensorView gate = saved.gate_up.slice_cols(0, inner);
  const TensorView up = saved.gate_up.slice_cols(inner, 2 * inner);
  ops::gated_activate_backward(ctx, {dgated, gate, up, gate, up});
  linear_backward(ctx, saved.gate_up, saved.norm2, block.gate_up, dnorm_);
  ops::rms_norm_backward(ctx, {dnorm_, saved.middle, parameters_.vector(block.norm2),
                               saved.inverse2, dx_, parameters_.vector_gradient(block.norm2)});
}

void Llama::attention_backward(ops::TrainContext& ctx, const Batch& batch, const Block& block,
                               const Saved& saved) {
  const LlamaShape& s = shape_;
  const int64_t tokens = batch.tokens();
  const Shape mixed_shape = {tokens, s.heads, s.head_dim};
  const TensorView dmixed = dgated_.slice_cols(0, s.heads * s.head_dim);
  linear_backward(ctx, in_compute_type(ctx, dx_, dtemp_), saved.mixed, block.attention_out, dmixed);
  TensorView dmixed_heads = dmixed;
  dmixed_heads.shape = mixed_shape;
  const ops::AttentionSave forward{heads_of(saved.qkv, 0, s.heads),
                                   heads_of(saved.qkv, s.heads, s.kv_heads),
                                   heads_of(saved.qkv, s.heads + s.kv_heads, s.kv_heads),
                                   saved.mixed.reshape(mixed_shape),
                                   saved.lse,
                                   batch.segments,
                                   1.0f / std::sqrt(static_cast<float>(s.head_dim))};
  ops::attention_backward(ctx, {forward, dmixed_heads, heads_of(dqkv_, 0, s.heads),
                                heads_of(dqkv_, s.heads, s.kv_heads),
                                heads_of(dqkv_, s.heads + s.kv_heads, s.kv_heads)});
  ops::rope_turn(ctx, heads_of(dqkv_, 0, s.heads + s.kv_heads), batch.positions,
                 {rope_cos_, rope_sin_}, ops::Turn::kBackward);
  linear_backward(ctx, dqkv_, saved.norm1, block.qkv, dnorm_);
  ops::rms_norm_backward(ctx, {dnorm_, saved.input, parameters_.vector(block.norm1), saved.inverse1,
                               dx_, parameters_.vector_gradient(block.norm1)});
}

double Llama::forward_backward(ops::TrainContext& ctx, const Batch& batch, float gradient_scale,
                               const GradientsReady& ready) {
  forward(ctx, batch);
  std::vector<float> each(batch.ids.size());
  head(ctx, batch, Pass::kGradients, gradient_scale, each);
  std::memset(dx_.data, 0, static_cast<size_t>(dx_.shape.count()) * sizeof(float));
  ops::rms_norm_backward(ctx, {dnorm_, inputs_.back(), parameters_.vector(final_norm_),
                               final_inverse_, dx_, parameters_.vector_gradient(final_norm_)});
  for (size_t i = blocks_.size(); i-- > 0;) {
    const Saved saved = saved_of(i);
    // inputs_[i + 1] is not read again, so the second forward pass may write it once more.
    if (recompute_ == Recompute::kBlock) {
      block_forward(ctx, batch, blocks_[i], saved, inputs_[i + 1]);
    }
    mlp_backward(ctx, blocks_[i], saved);
    attention_backward(ctx, batch, blocks_[i], saved);
    // A block's parameters lie behind those of the blocks before it.
    if (ready) ready(parameters_.list()[blocks_[i].norm1].offset);
  }
  ops::embed_backward(ctx, {batch.ids, dx_, parameters_.gradient(embedding_)});
  if (ready) ready(0);
  double sum = 0;
  for (float loss : each) sum += loss;
  return sum;
}

void Llama::losses(ops::TrainContext& ctx, const Batch& batch, std::span<float> losses) {
  forward(ctx, batch);
  head(ctx, batch, Pass::kLossOnly, 0.0f, losses);
}

void Llama::next_logits(ops::TrainContext& ctx, std::span<const int32_t> ids,
                        std::span<float> logits) {
  Batch batch;
  batch.append_read_only(ids);
  forward(ctx, batch);
  const int64_t tokens = batch.tokens();
  linear(ctx, final_.slice_rows(tokens - 1, tokens), head_,
         TensorView(logits.data(), DType::kF32, {1, shape_.vocab_size}), Store::kReplace);
}

io::Json Llama::config() const {
  const LlamaShape& s = shape_;
  return {
      {"architectures", {"LlamaForCausalLM"}},
      {"model_type", "llama"},
      {"hidden_act", "silu"},
      {"hidden_size", s.hidden_size},
      {"intermediate_size", s.intermediate_size},
      {"num_hidden_layers", s.layers},
      {"num_attention_heads", s.heads},
      {"num_key_value_heads", s.kv_heads},
      {"head_dim", s.head_dim},
      {"vocab_size", s.vocab_size},
      {"max_position_embeddings", s.context},
      {"rms_norm_eps", s.epsilon},
      {"rope_theta", s.rope_theta},
      {"tie_word_embeddings", s.tied},
      {"attention_bias", false},
      {"mlp_bias", false},
      {"initializer_range", s.initializer_range},
  };
}

double Llama::flops_per_token(double context) const {
  const LlamaShape& s = shape_;
  const int64_t block = s.hidden_size * (s.qkv_rows() + s.heads * s.head_dim) +
                        3 * s.hidden_size * s.intermediate_size;
  const int64_t weights = s.layers * block + s.vocab_size * s.hidden_size;
  // q·k and p·v: two products forward, four backward, over half the context on average.
  const double attention =
      12.0 * static_cast<double>(s.layers * s.heads * s.head_dim) * context / 2;
  return 6.0 * static_cast<double>(weights) + attention;
}

}  // namespace

std::unique_ptr<Model> make_llama(const io::Json& config, DType compute, Recompute recompute,
                                  const std::string& where) {
  return std::make_unique<Llama>(read_shape(config, where), compute, recompute);
}

}  // namespace hearth::train
