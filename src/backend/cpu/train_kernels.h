// The training kernels of this machine. The same sources (backend/cpu/internal) are built for each
// instruction set; the list below is in order of preference.
#pragma once

#include <span>
#include <string_view>

#include "ops/train_kernels.h"

namespace hearth::backend::cpu {

const ops::TrainKernels& train_kernels_plain();
const ops::TrainKernels& train_kernels_avx2();
const ops::TrainKernels& train_kernels_avx512();
const ops::TrainKernels& train_kernels_avx512bf16();

// Those that run on this machine, best first; the last is the plain one.
std::span<const ops::TrainKernels* const> train_kernels_here();

// The best, or the one called `name`; throws Error naming the choices when it does not run here.
const ops::TrainKernels& train_kernels(std::string_view name = {});

}  // namespace hearth::backend::cpu
