// The table of training kernels of one backend and instruction set. Arguments were checked by the
// functions of the same name; a backend fills every entry.
#pragma once

#include <cstdint>
#include <span>

#include "ops/attention_backward.h"
#include "ops/convert.h"
#include "ops/cross_entropy.h"
#include "ops/embed_backward.h"
#include "ops/gated_activate_backward.h"
#include "ops/matmul.h"
#include "ops/optimizer.h"
#include "ops/rms_norm_backward.h"
#include "ops/rope_backward.h"

namespace hearth::ops {

struct TrainKernels {
  const char* name = nullptr;  // "avx512bf16"
  void (*matmul)(TrainContext&, const Matmul&) = nullptr;
  void (*rms_norm_save)(TrainContext&, TensorView x, TensorView weight, float epsilon, TensorView y,
                        TensorView inverse_rms) = nullptr;
  void (*rms_norm_backward)(TrainContext&, const RmsNormBackward&) = nullptr;
  void (*rope_turn)(TrainContext&, TensorView x, std::span<const int32_t> positions,
                    const RopeTable& table, Turn turn) = nullptr;
  void (*attention_save)(TrainContext&, const AttentionSave&) = nullptr;
  void (*attention_backward)(TrainContext&, const AttentionBackward&) = nullptr;
  void (*gated_activate_save)(TrainContext&, TensorView gate, TensorView up,
                              TensorView y) = nullptr;
  void (*gated_activate_backward)(TrainContext&, const GatedActivateBackward&) = nullptr;
  void (*cross_entropy)(TrainContext&, const CrossEntropy&) = nullptr;
  void (*convert)(TrainContext&, TensorView x, TensorView y) = nullptr;
  void (*embed_rows)(TrainContext&, std::span<const int32_t> ids, TensorView table,
                     TensorView y) = nullptr;
  void (*embed_backward)(TrainContext&, const EmbedBackward&) = nullptr;
  void (*sum_squares)(TrainContext&, TensorView x, double& sum) = nullptr;
  void (*adamw)(TrainContext&, const AdamwStep&) = nullptr;
};

}  // namespace hearth::ops
