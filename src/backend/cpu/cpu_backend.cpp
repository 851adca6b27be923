#include "backend/cpu/cpu_backend.h"

#include <algorithm>
#include <array>

#include "backend/cpu/attention.h"
#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/linear.h"
#include "backend/cpu/row_ops.h"

namespace hearth::backend::cpu {
namespace {

CpuKernels reference_kernels() {
  CpuKernels kernels;
  kernels.name = "reference";
  kernels.rows = &kRowsReference;
  kernels.linear = linear_reference;
  kernels.attention = attention_reference;
  kernels.kv_store = kv_store;
  kernels.kv_copy_block = kv_copy_block;
  set_norm_kernels(kernels);
  set_rope_kernels(kernels);
  set_elementwise_kernels(kernels);
  return kernels;
}

}  // namespace

const ops::Kernels& select_kernels(Isa) {
  static const CpuKernels kReference = reference_kernels();
  return kReference;
}

Backend::Backend(const Options& options)
    : kernels_(select_kernels(options.isa_limit)), pool_(options.threads) {}

}  // namespace hearth::backend::cpu
