// The table of kernels: one function pointer per op, filled by a backend.
//
// Ops check their arguments (ops/*.cpp) and call through this table; kernels trust what they get.
// A backend that has no kernel for an op leaves the entry null, and the op says so.
#pragma once

#include <cstdint>
#include <span>

#include "ops/attention.h"
#include "ops/context.h"
#include "ops/elementwise.h"
#include "ops/linear.h"
#include "ops/lora.h"
#include "ops/norm.h"
#include "ops/rope.h"
#include "ops/weight.h"

namespace hearth::ops {

// For people: which variant of an op was chosen, and out of which ("avx512", "avx2", ...).
struct KernelChoice {
  const char* op = nullptr;
  const char* variant = nullptr;
};

struct Kernels {
  const char* name = nullptr;             // "reference", "avx2", "avx512", ...
  std::span<const KernelChoice> choices;  // one for each group of ops, in the order of this table

  // The arguments are those of the op of the same name, checked.
  void (*linear)(Context&, const LinearInput& x, const Weight&, TensorView bias,
                 TensorView y) = nullptr;
  void (*linear_group)(Context&, const LinearInput& x, std::span<const LinearOutput>) = nullptr;
  void (*gated_linear)(Context&, const LinearInput& x, const GatedLinear&, TensorView y) = nullptr;
  void (*lora_add)(Context&, TensorView x, std::span<const LoraGroup>, TensorView y) = nullptr;

  void (*rms_norm)(Context&, TensorView x, const RmsNorm&, TensorView y) = nullptr;
  void (*layer_norm)(Context&, TensorView x, const LayerNorm&, TensorView y) = nullptr;

  void (*rope_angles)(Context&, std::span<const int32_t> positions,
                      std::span<const float> inverse_frequency, float scale, TensorView cos,
                      TensorView sin) = nullptr;
  void (*rope)(Context&, TensorView x, TensorView cos, TensorView sin, RopeStyle) = nullptr;

  void (*kv_store)(Context&, TensorView keys, TensorView values, std::span<const KvSequence>,
                   const KvPages&) = nullptr;
  void (*kv_copy_block)(Context&, const KvPages&, int32_t from, int32_t to) = nullptr;
  void (*attention)(Context&, TensorView q, std::span<const KvSequence>, const KvPages&,
                    const Attention&, TensorView out) = nullptr;

  void (*embed)(Context&, std::span<const int32_t> ids, const Weight& table, float factor,
                TensorView y) = nullptr;
  void (*gather_rows)(Context&, TensorView x, std::span<const int32_t> rows,
                      TensorView y) = nullptr;
  void (*add)(Context&, TensorView x, TensorView y) = nullptr;
  void (*activate)(Context&, Activation, TensorView x) = nullptr;
  void (*gated_activate)(Context&, Activation, TensorView gate, TensorView up,
                         TensorView y) = nullptr;
  void (*soft_cap)(Context&, float cap, TensorView x) = nullptr;
  void (*scale)(Context&, float factor, TensorView x) = nullptr;
};

}  // namespace hearth::ops
