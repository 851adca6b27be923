// The table of training kernels of one backend and instruction set. Arguments were checked by the
// functions of the same name; a backend fills every entry.
#pragma once

#include <cstdint>
#include <span>

#include "ops/accumulate.h"
#include "ops/activate_backward.h"
#include "ops/attention_backward.h"
#include "ops/bias_backward.h"
#include "ops/column_scale.h"
#include "ops/convert.h"
#include "ops/cross_entropy.h"
#include "ops/dropout.h"
#include "ops/embed_backward.h"
#include "ops/gated_activate_backward.h"
#include "ops/head_norm_backward.h"
#include "ops/layer_norm_backward.h"
#include "ops/matmul.h"
#include "ops/optimizer.h"
#include "ops/rms_norm_backward.h"
#include "ops/rope_backward.h"
#include "ops/soft_cap_backward.h"
#include "ops/unpack.h"

namespace hearth::ops {

struct TrainKernels {
  const char* name = nullptr;  // "avx512bf16"
  void (*matmul)(TrainContext&, const Matmul&) = nullptr;
  void (*bias_add)(TrainContext&, TensorView bias, TensorView y) = nullptr;
  void (*bias_backward)(TrainContext&, TensorView dy, TensorView dbias) = nullptr;
  void (*rms_norm_save)(TrainContext&, const RmsNormSave&) = nullptr;
  void (*rms_norm_backward)(TrainContext&, const RmsNormBackward&) = nullptr;
  void (*layer_norm_save)(TrainContext&, const LayerNormSave&) = nullptr;
  void (*layer_norm_backward)(TrainContext&, const LayerNormBackward&) = nullptr;
  void (*head_norm)(TrainContext&, const HeadNorm&) = nullptr;
  void (*head_norm_backward)(TrainContext&, const HeadNormBackward&) = nullptr;
  void (*rope_turn)(TrainContext&, TensorView x, std::span<const int32_t> positions,
                    const RopeTable& table, Turn turn) = nullptr;
  void (*attention_save)(TrainContext&, const AttentionSave&) = nullptr;
  void (*attention_backward)(TrainContext&, const AttentionBackward&) = nullptr;
  void (*activate_save)(TrainContext&, Activation, TensorView x, TensorView y) = nullptr;
  void (*activate_backward)(TrainContext&, const ActivateBackward&) = nullptr;
  void (*gated_activate_save)(TrainContext&, Activation, TensorView gate, TensorView up,
                              TensorView y) = nullptr;
  void (*gated_activate_backward)(TrainContext&, const GatedActivateBackward&) = nullptr;
  void (*cross_entropy)(TrainContext&, const CrossEntropy&) = nullptr;
  void (*soft_cap_save)(TrainContext&, float cap, TensorView x) = nullptr;
  void (*soft_cap_backward)(TrainContext&, float cap, TensorView y, TensorView dy) = nullptr;
  void (*convert)(TrainContext&, TensorView x, TensorView y) = nullptr;
  void (*accumulate)(TrainContext&, TensorView x, TensorView y) = nullptr;
  void (*dropout)(TrainContext&, const Dropout&) = nullptr;
  void (*scale_columns)(TrainContext&, TensorView x, TensorView factors, TensorView y) = nullptr;
  void (*column_dots)(TrainContext&, TensorView x, TensorView y, TensorView sums) = nullptr;
  void (*embed_rows)(TrainContext&, const EmbedRows&) = nullptr;
  void (*embed_backward)(TrainContext&, const EmbedBackward&) = nullptr;
  void (*sum_squares)(TrainContext&, TensorView x, double& sum) = nullptr;
  void (*adamw)(TrainContext&, const AdamwStep&) = nullptr;
  void (*unpack)(TrainContext&, const Weight&, TensorView y) = nullptr;
};

}  // namespace hearth::ops
