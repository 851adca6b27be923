// A projection y = x Wᵀ + b with the place where adapters join, and the embedding table.
#pragma once

#include <array>
#include <span>

#include "nn/pass.h"
#include "ops/linear.h"
#include "ops/weight.h"

namespace hearth::nn {

constexpr int32_t kNoSlot = -1;

struct Linear {
  ops::Weight weight;  // [out, in]
  Tensor bias;         // [out] f32, or empty
  // Which projection of the model this is, for adapters; kNoSlot where none may join.
  int32_t slot = kNoSlot;

  // x [rows, in] -> [rows, out].
  TensorView forward(Pass& pass, const ops::LinearInput& x) const;
  // Whether adapters join in this pass.
  bool adapted(const Pass& pass) const;
  // What they add to y.
  void adapt(Pass& pass, TensorView x, TensorView y) const;
};

// x as these projections read it: plain rows where adapters join one of them, which read it too.
ops::LinearInput read_by(Pass& pass, const ops::LinearInput& x, std::span<const Linear* const> by);

// Several projections of one input [rows, in] at once -> [rows, out] each.
template <size_t kCount>
std::array<TensorView, kCount> forward_group(Pass& pass, const ops::LinearInput& input,
                                             const std::array<const Linear*, kCount>& linears) {
  const ops::LinearInput x = read_by(pass, input, linears);
  std::array<TensorView, kCount> y;
  std::array<ops::LinearOutput, kCount> outputs;
  for (size_t i = 0; i < kCount; ++i) {
    y[i] = pass.temporary(x.x.rows(), linears[i]->weight.out);
    outputs[i] = {&linears[i]->weight, linears[i]->bias, y[i]};
  }
  ops::linear_group(pass.ops, x, outputs);
  for (size_t i = 0; i < kCount; ++i) linears[i]->adapt(pass, x.x, y[i]);
  return y;
}

struct Embedding {
  ops::Weight table;    // [vocabulary, hidden]
  float factor = 1.0f;  // on every element

  // ids [rows] -> [rows, hidden].
  TensorView forward(Pass& pass, std::span<const int32_t> ids) const;
};

// The way from hidden states to logits: its matrix may be the embedding table.
struct LmHead {
  const ops::Weight* weight = nullptr;  // [vocabulary, hidden]
  const Tensor* bias = nullptr;         // [vocabulary] f32, or null
  float softcap = 0.0f;                 // logits become softcap * tanh(logit / softcap); 0: off

  // x [rows, hidden] -> [rows, vocabulary].
  TensorView forward(ops::Context& ctx, TensorView x) const;
};

}  // namespace hearth::nn
