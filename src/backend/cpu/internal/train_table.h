// Fills the table of training kernels with the functions of this folder, as built for one
// instruction set.
#pragma once

#include "backend/cpu/internal/attention_backward.h"
#include "backend/cpu/internal/convert.h"
#include "backend/cpu/internal/cross_entropy.h"
#include "backend/cpu/internal/embed_backward.h"
#include "backend/cpu/internal/gated_activate_backward.h"
#include "backend/cpu/internal/matmul.h"
#include "backend/cpu/internal/optimizer.h"
#include "backend/cpu/internal/rms_norm_backward.h"
#include "backend/cpu/internal/rope_backward.h"
#include "ops/train_kernels.h"

namespace hearth::backend::cpu {
namespace {

constexpr ops::TrainKernels train_table(const char* name) {
  return {
      .name = name,
      .matmul = matmul,
      .rms_norm_save = rms_norm_save,
      .rms_norm_backward = rms_norm_backward,
      .rope_turn = rope_turn,
      .attention_save = attention_save,
      .attention_backward = attention_backward,
      .gated_activate_save = gated_activate_save,
      .gated_activate_backward = gated_activate_backward,
      .cross_entropy = cross_entropy,
      .convert = convert,
      .embed_rows = embed_rows,
      .embed_backward = embed_backward,
      .sum_squares = sum_squares,
      .adamw = adamw,
  };
}

}  // namespace
}  // namespace hearth::backend::cpu
