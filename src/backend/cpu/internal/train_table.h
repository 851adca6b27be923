// Fills the table of training kernels with the functions of this folder, as built for one
// instruction set.
#pragma once

#include "backend/cpu/internal/accumulate.h"
#include "backend/cpu/internal/activate_backward.h"
#include "backend/cpu/internal/attention_backward.h"
#include "backend/cpu/internal/bias_backward.h"
#include "backend/cpu/internal/column_scale.h"
#include "backend/cpu/internal/convert.h"
#include "backend/cpu/internal/cross_entropy.h"
#include "backend/cpu/internal/dropout.h"
#include "backend/cpu/internal/embed_backward.h"
#include "backend/cpu/internal/gated_activate_backward.h"
#include "backend/cpu/internal/head_norm_backward.h"
#include "backend/cpu/internal/layer_norm_backward.h"
#include "backend/cpu/internal/matmul.h"
#include "backend/cpu/internal/optimizer.h"
#include "backend/cpu/internal/rms_norm_backward.h"
#include "backend/cpu/internal/rope_backward.h"
#include "backend/cpu/internal/soft_cap_backward.h"
#include "backend/cpu/internal/unpack.h"
#include "ops/train_kernels.h"

namespace hearth::backend::cpu {
namespace {

constexpr ops::TrainKernels train_table(const char* name) {
  return {
      .name = name,
      .matmul = matmul,
      .bias_add = bias_add,
      .bias_backward = bias_backward,
      .rms_norm_save = rms_norm_save,
      .rms_norm_backward = rms_norm_backward,
      .layer_norm_save = layer_norm_save,
      .layer_norm_backward = layer_norm_backward,
      .head_norm = head_norm,
      .head_norm_backward = head_norm_backward,
      .rope_turn = rope_turn,
      .attention_save = attention_save,
      .attention_backward = attention_backward,
      .activate_save = activate_save,
      .activate_backward = activate_backward,
      .gated_activate_save = gated_activate_save,
      .gated_activate_backward = gated_activate_backward,
      .cross_entropy = cross_entropy,
      .soft_cap_save = soft_cap_save,
      .soft_cap_backward = soft_cap_backward,
      .convert = convert,
      .accumulate = accumulate,
      .dropout = dropout,
      .scale_columns = scale_columns,
      .column_dots = column_dots,
      .embed_rows = embed_rows,
      .embed_backward = embed_backward,
      .sum_squares = sum_squares,
      .adamw = adamw,
      .unpack = unpack,
  };
}

}  // namespace
}  // namespace hearth::backend::cpu
