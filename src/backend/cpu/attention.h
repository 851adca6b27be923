// Attention over paged keys and values on the CPU.
#pragma once

#include "ops/kernels.h"

namespace hearth::backend::cpu {

void attention_reference(ops::Context& ctx, TensorView q,
                         std::span<const ops::KvSequence> sequences, const ops::KvPages& pages,
                         const ops::Attention& attention, TensorView out);

// Uses CpuKernels::attention_tiles.
void attention_tiled(ops::Context& ctx, TensorView q, std::span<const ops::KvSequence> sequences,
                     const ops::KvPages& pages, const ops::Attention& attention, TensorView out);

void kv_store(ops::Context& ctx, TensorView keys, TensorView values,
              std::span<const ops::KvSequence> sequences, const ops::KvPages& pages);
void kv_copy_block(ops::Context& ctx, const ops::KvPages& pages, int32_t from, int32_t to);

}  // namespace hearth::backend::cpu
