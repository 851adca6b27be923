#include "train/output_head.h"

#include <algorithm>

#include "ops/cross_entropy.h"
#include "ops/soft_cap_backward.h"

namespace hearth::train {
namespace {

// Of one chunk. Each packs the head's matrix anew, which costs as much as multiplying a hundred
// rows.
constexpr int64_t kLogitElementsMax = int64_t{32} << 20;
constexpr int64_t kChunkRowsMin = 64;

Linear make_linear(const DecoderShape& shape, WeightId embedding, const Builder& builder) {
  if (shape.head) return builder.linear(*shape.head, ParameterKind::kEmbedding);
  return Linear(embedding, builder.weights);
}

}  // namespace

OutputHead::OutputHead(const DecoderShape& shape, WeightId embedding, const Builder& builder)
    : softcap_(shape.logit_softcap), linear_(make_linear(shape, embedding, builder)) {}

void OutputHead::plan(ActivationPool& pool, DType type, int64_t tokens) {
  const int64_t vocab = linear_.out();
  const int64_t rows = std::min(tokens, std::max(kChunkRowsMin, kLogitElementsMax / vocab));
  logits_ = pool.take(DType::kF32, {rows, vocab});
  dlogits_ = pool.take(type, {rows, vocab});
}

void OutputHead::logits(const Pass& pass, TensorView x, TensorView logits) const {
  linear_.forward(pass.ops, pass.spares.linear, x, logits, ops::Store::kReplace);
  if (softcap_ > 0.0f) ops::soft_cap_save(pass.ops, softcap_, logits);
}

// Rows from `begin` on. dx empty: losses only.
void OutputHead::chunk(const Pass& pass, TensorView x, int64_t begin, float gradient_scale,
                       std::span<float> losses, TensorView dx) const {
  const int64_t count = std::min(logits_.rows(), x.rows() - begin);
  const auto first = static_cast<size_t>(begin);
  const auto size = static_cast<size_t>(count);
  const TensorView rows = x.slice_rows(begin, begin + count);
  const TensorView z = logits_.slice_rows(0, count);
  const TensorView dz = dx.empty() ? TensorView{} : dlogits_.slice_rows(0, count);
  const auto& weights = pass.batch.weights;
  logits(pass, rows, z);
  ops::cross_entropy(pass.ops,
                     {.logits = z,
                      .targets = std::span(pass.batch.targets).subspan(first, size),
                      .gradient_scale = gradient_scale,
                      .weights = weights.empty() ? std::span<const float>{}
                                                 : std::span(weights).subspan(first, size),
                      .dlogits = dz,
                      .losses = losses.subspan(first, size)});
  if (dx.empty()) return;
  if (softcap_ > 0.0f) ops::soft_cap_backward(pass.ops, softcap_, z, dz);
  linear_.backward(pass.ops, pass.spares.linear, dz, rows, dx.slice_rows(begin, begin + count));
}

void OutputHead::losses(const Pass& pass, TensorView x, std::span<float> losses) const {
  for (int64_t begin = 0; begin < x.rows(); begin += logits_.rows()) {
    chunk(pass, x, begin, 0.0f, losses, {});
  }
}

void OutputHead::losses_backward(const Pass& pass, TensorView x, float gradient_scale,
                                 std::span<float> losses, TensorView dx) const {
  for (int64_t begin = 0; begin < x.rows(); begin += logits_.rows()) {
    chunk(pass, x, begin, gradient_scale, losses, dx);
  }
}

}  // namespace hearth::train
