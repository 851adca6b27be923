#include "train/decoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "io/json.h"
#include "ops/embed_backward.h"

namespace hearth::train {
namespace {

WeightId add_table(const std::string& name, int64_t rows, int64_t cols, float deviation,
                   ModelWeights& weights) {
  return weights.add({.kind = ParameterKind::kEmbedding,
                      .rows = rows,
                      .cols = cols,
                      .initial_deviation = deviation,
                      .pieces = {{name + ".weight", 0, rows}}});
}

}  // namespace

Decoder::Decoder(DecoderShape shape, const io::Json& config, const ModelOptions& options)
    : shape_(std::move(shape)),
      config_(std::make_unique<const io::Json>(config)),
      type_(options.compute),
      recompute_(options.recompute),
      weights_(options.compute, options.training),
      ropes_(shape_.ropes) {
  const float deviation = shape_.initializer_range;
  // Each layer adds two terms to the residual stream.
  const Builder builder{weights_, options.low_rank, deviation,
                        deviation / std::sqrt(2.0f * static_cast<float>(shape_.layers.size()))};
  embedding_ =
      add_table(shape_.embedding, shape_.vocab_size, shape_.hidden_size, deviation, weights_);
  if (!shape_.positions.empty()) {
    positions_ =
        add_table(shape_.positions, shape_.context, shape_.hidden_size, deviation, weights_);
  }
  add_layers(builder);
  norm_.emplace(shape_.norm, weights_);
  head_.emplace(shape_, embedding_, builder);
  weights_.parameters.allocate();
}

Decoder::~Decoder() = default;

void Decoder::add_layers(const Builder& builder) {
  layers_.reserve(shape_.layers.size());
  for (const LayerShape& layer : shape_.layers) {
    first_parameter_.push_back(weights_.parameters.list().size());
    layers_.emplace_back(layer, builder);
  }
}

template <typename Visit>
void Decoder::for_linears(const Visit& visit) const {
  for (const Layer& layer : layers_) {
    visit(layer.attention().qkv());
    visit(layer.attention().end().linear());
    visit(layer.mlp().in());
    visit(layer.mlp().end().linear());
  }
  visit(head_->linear());
}

void Decoder::plan_spares(int64_t tokens) {
  const int64_t hidden = shape_.hidden_size;
  int64_t inner = 0;
  int64_t qkv = 0;
  bool after = false;
  bool parallel = false;
  bool joined = false;
  for (const Layer& layer : layers_) {
    const AttentionShape& attention = layer.attention().shape();
    inner =
        std::max({inner, layer.mlp().shape().intermediate, attention.heads * attention.head_dim});
    qkv = std::max(qkv, layer.attention().qkv().out());
    after = after || layer.attention().end().has_norm() || layer.mlp().end().has_norm();
    parallel = parallel || layer.residual() == Residual::kParallel;
    joined =
        joined || layer.attention().end().linear().joined() || layer.mlp().end().linear().joined();
  }
  int64_t unpacked = 0;
  for_linears(
      [&](const Linear& linear) { unpacked = std::max(unpacked, linear.unpacked_elements()); });
  spares_ = {};
  if (unpacked > 0) spares_.linear.matrix = pool_.take(type_, {unpacked});
  if (joined) spares_.linear.sum = pool_.take(DType::kF32, {tokens, hidden});
  if (after) spares_.dbranch = pool_.take(DType::kF32, {tokens, hidden});
  if (parallel) spares_.dparallel = pool_.take(DType::kF32, {tokens, hidden});
  spares_.dstream = pool_.take(DType::kF32, {tokens, hidden});
  spares_.dnorm = pool_.take(DType::kF32, {tokens, hidden});
  spares_.narrow = pool_.take(type_, {tokens, hidden});
  spares_.dinner = pool_.take(type_, {tokens, inner});
  spares_.dqkv = pool_.take(type_, {tokens, qkv});
}

void Decoder::lay_out(int64_t tokens) {
  const auto layers = static_cast<int64_t>(layers_.size());
  pool_.lay_out([&] {
    inputs_.clear();
    saved_.clear();
    for (int64_t i = 0; i <= layers; ++i) {
      inputs_.push_back(pool_.take(DType::kF32, {tokens, shape_.hidden_size}));
    }
    const size_t kept = recompute_ == Recompute::kBlock ? 1 : layers_.size();
    for (size_t i = 0; i < kept; ++i) {
      saved_.push_back(layers_[i].plan(pool_, type_, tokens, shape_.hidden_size));
    }
    final_ = norm_->plan(pool_, type_, tokens);
    plan_spares(tokens);
    head_->plan(pool_, type_, tokens);
  });
}

Layer::Saved Decoder::saved_of(size_t layer) const {
  Layer::Saved saved = saved_[recompute_ == Recompute::kBlock ? 0 : layer];
  saved.input = inputs_[layer];
  return saved;
}

Pass Decoder::begin(ops::TrainContext& ctx, const Batch& batch) {
  CHECK(batch.tokens() > 0, "an empty batch");
  lay_out(batch.tokens());
  const int32_t last = *std::max_element(batch.positions.begin(), batch.positions.end());
  CHECK(last < shape_.context, "position {} in a model of {}", last, shape_.context);
  return {ctx, batch, type_, spares_, ropes_.reach(int64_t{last} + 1)};
}

void Decoder::embed(const Pass& pass) {
  ops::embed_rows(pass.ops, {pass.batch.ids, weights_.table(embedding_), shape_.embedding_factor,
                             inputs_[0], ops::Store::kReplace});
  if (positions_) {
    ops::embed_rows(pass.ops, {pass.batch.positions, weights_.table(*positions_), 1.0f, inputs_[0],
                               ops::Store::kAdd});
  }
}

void Decoder::embed_backward(const Pass& pass) {
  if (!ModelWeights::trained(embedding_)) return;
  ops::embed_backward(pass.ops, {pass.batch.ids, spares_.dstream, shape_.embedding_factor,
                                 weights_.gradient(embedding_)});
  if (positions_) {
    ops::embed_backward(
        pass.ops, {pass.batch.positions, spares_.dstream, 1.0f, weights_.gradient(*positions_)});
  }
}

void Decoder::forward(const Pass& pass) {
  embed(pass);
  for (size_t i = 0; i < layers_.size(); ++i) {
    layers_[i].forward(pass, saved_of(i), inputs_[i + 1]);
  }
  norm_->forward(pass.ops, inputs_.back(), final_);
}

void Decoder::backward(const Pass& pass, const GradientsReady& ready) {
  const TensorView dstream = spares_.dstream;
  std::memset(dstream.data, 0, static_cast<size_t>(dstream.shape.count()) * sizeof(float));
  norm_->backward(pass.ops, spares_.dnorm, inputs_.back(), final_, dstream);
  const auto list = weights_.parameters.list();
  size_t told = list.size();
  for (size_t i = layers_.size(); i-- > 0;) {
    const Layer::Saved saved = saved_of(i);
    // inputs_[i + 1] is not read again, so the second forward pass may write it once more.
    if (recompute_ == Recompute::kBlock) layers_[i].forward(pass, saved, inputs_[i + 1]);
    layers_[i].backward(pass, saved);
    // A layer's parameters lie behind those of the layers before it.
    if (ready && first_parameter_[i] < told) {
      told = first_parameter_[i];
      ready(list[told].offset);
    }
  }
  embed_backward(pass);
  if (ready && told > 0) ready(0);
}

double Decoder::forward_backward(ops::TrainContext& ctx, const Batch& batch, float gradient_scale,
                                 const GradientsReady& ready) {
  const Pass pass = begin(ctx, batch);
  forward(pass);
  std::vector<float> each(batch.ids.size());
  head_->losses_backward(pass, final_.y, gradient_scale, each, spares_.dnorm);
  backward(pass, ready);
  double sum = 0;
  for (float loss : each) sum += loss;
  return sum;
}

void Decoder::losses(ops::TrainContext& ctx, const Batch& batch, std::span<float> losses) {
  const Pass pass = begin(ctx, batch);
  forward(pass);
  head_->losses(pass, final_.y, losses);
}

void Decoder::next_logits(ops::TrainContext& ctx, std::span<const int32_t> ids,
                          std::span<float> logits) {
  Batch batch;
  batch.append_read_only(ids);
  const Pass pass = begin(ctx, batch);
  forward(pass);
  const int64_t tokens = batch.tokens();
  head_->logits(pass, final_.y.slice_rows(tokens - 1, tokens),
                TensorView(logits.data(), DType::kF32, {1, shape_.vocab_size}));
}

io::Json Decoder::config() const { return *config_; }

// Attention's products of one token, q·k and p·v, over half the context on average.
double Decoder::attention_flops(double context) const {
  double sum = 0;
  for (const LayerShape& layer : shape_.layers) {
    const AttentionShape& a = layer.attention;
    const double seen =
        a.window > 0 ? std::min(context / 2, static_cast<double>(a.window)) : context / 2;
    sum += 4.0 * static_cast<double>(a.heads * a.head_dim) * seen;
  }
  return sum;
}

double Decoder::forward_flops_per_token(double context) const {
  double products = 0;
  for_linears([&](const Linear& linear) { products += linear.forward_flops_per_token(); });
  return products + attention_flops(context);
}

double Decoder::flops_per_token(double context) const {
  double products = 0;
  for_linears([&](const Linear& linear) { products += linear.flops_per_token(); });
  return products + 3 * attention_flops(context);  // the backward pass has four products
}

}  // namespace hearth::train
