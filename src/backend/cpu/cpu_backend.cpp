// Chooses kernels: for each group of ops an ordered list of variants, best first; the first that
// the machine and the limit allow is taken.
#include "backend/cpu/cpu_backend.h"

#include <algorithm>
#include <array>

#include "backend/cpu/attention.h"
#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/linear.h"
#include "backend/cpu/lora.h"
#include "backend/cpu/quantize_groups.h"
#include "backend/cpu/row_ops.h"

namespace hearth::backend::cpu {
namespace {

template <typename Value>
struct Variant {
  Isa needs;
  Value value;
};

constexpr Variant<const RowKernels*> kRowVariants[] = {
    {Isa::kAvx512, &kRowsAvx512},
    {Isa::kAvx2, &kRowsAvx2},
    {Isa::kBaseline, &kRowsReference},
};

// Null: linear_reference().
constexpr Variant<const LinearTiles*> kLinearVariants[] = {
    {Isa::kAvx512, &kLinearAvx512},
    {Isa::kAvx2, &kLinearAvx2},
    {Isa::kBaseline, nullptr},
};

// Null: bf16 weights are multiplied in f32.
constexpr Variant<const LinearTile*> kBf16Variants[] = {
    {Isa::kAmx, &kLinearAmx},
    {Isa::kAvx512Bf16, &kLinearAvx512Bf16},
    {Isa::kBaseline, nullptr},
};

// Null: quantized_reference(). AVX-512 without 8-bit dot products does not imply those of 256 bits.
constexpr Variant<const QuantizedTile*> kQuantizedVariants[] = {
    {Isa::kAmx, &kQuantizedAmx},  // up to six rows as with kAvx512Vnni
    {Isa::kAvx512Vnni, &kQuantizedAvx512Vnni},
    {Isa::kAvx512, &kQuantizedAvx2},
    {Isa::kAvxVnni, &kQuantizedAvxVnni},
    {Isa::kAvx2, &kQuantizedAvx2},
    {Isa::kBaseline, nullptr},
};

// Null: lora_reference().
constexpr Variant<const LoraTiles*> kLoraVariants[] = {
    {Isa::kAvx512, &kLoraAvx512},
    {Isa::kAvx2, &kLoraAvx2},
    {Isa::kBaseline, nullptr},
};

// Null: attention_reference().
constexpr Variant<const AttentionTiles*> kAttentionVariants[] = {
    {Isa::kAvx512, &kAttentionAvx512},
    {Isa::kAvx2, &kAttentionAvx2},
    {Isa::kBaseline, nullptr},
};

constexpr Variant<const ops::QuantizeKernels*> kQuantizeVariants[] = {
    {Isa::kAvx512, &kQuantizeAvx512},
    {Isa::kAvx2, &kQuantizeAvx2},
    {Isa::kBaseline, &ops::kQuantizePlain},
};

template <typename Value, size_t kCount>
Value best(const Variant<Value> (&variants)[kCount], Isa isa) {
  return std::find_if(variants, variants + kCount,
                      [&](const Variant<Value>& variant) { return variant.needs <= isa; })
      ->value;
}

constexpr size_t kGroups = 6;

struct Selection {
  CpuKernels kernels;
  std::array<ops::KernelChoice, kGroups> choices;
};

Selection make_selection(Isa isa) {
  Selection s;
  CpuKernels& k = s.kernels;
  const LinearTiles* linear = best(kLinearVariants, isa);
  const LinearTile* bf16 = best(kBf16Variants, isa);
  const QuantizedTile* quantized = best(kQuantizedVariants, isa);
  const LoraTiles* lora = best(kLoraVariants, isa);
  const AttentionTiles* attention = best(kAttentionVariants, isa);
  k.name = isa == Isa::kBaseline ? "reference" : to_string(isa);
  k.rows = best(kRowVariants, isa);
  k.linear = linear == nullptr ? linear_reference : linear_tiled;
  k.linear_group = linear == nullptr ? linear_group_reference : linear_group_tiled;
  k.gated_linear = linear == nullptr ? gated_linear_apart : gated_linear_tiled;
  if (linear != nullptr) k.linear_tiles = *linear;
  if (bf16 != nullptr) k.linear_tiles.bf16_fast = *bf16;
  k.quantized = quantized;
  k.lora = lora;
  k.lora_add = lora == nullptr ? lora_reference : lora_tiled;
  k.attention = attention == nullptr ? attention_reference : attention_tiled;
  if (attention != nullptr) k.attention_tiles = *attention;
  k.kv_store = kv_store;
  k.kv_copy_block = kv_copy_block;
  set_norm_kernels(k);
  set_rope_kernels(k);
  set_elementwise_kernels(k);
  const char* linear_name = linear == nullptr ? "reference" : linear->f32.variant;
  s.choices = {{{"linear f32, f16", linear_name},
                {"linear bf16", bf16 == nullptr ? linear_name : bf16->variant},
                {"linear q8, q4", quantized == nullptr ? "reference" : quantized->variant},
                {"lora", lora == nullptr ? "reference" : lora->variant},
                {"attention", attention == nullptr ? "reference" : attention->variant},
                {"rows", k.rows->variant}}};
  return s;
}

constexpr size_t kLevels = static_cast<size_t>(kIsaMost) + 1;

// One table for each limit that a caller may set, made at first use.
const CpuKernels& selection(Isa isa) {
  static std::array<Selection, kLevels> all;
  [[maybe_unused]] static const bool made = [] {
    for (size_t i = 0; i < kLevels; ++i) {
      all[i] = make_selection(static_cast<Isa>(i));
      all[i].kernels.choices = all[i].choices;
    }
    return true;
  }();
  return all[static_cast<size_t>(isa)].kernels;
}

}  // namespace

const RowKernels& row_kernels(Isa isa) { return *best(kRowVariants, isa); }

const ops::QuantizeKernels& quantize_kernels(Isa limit) {
  return *best(kQuantizeVariants, detect_isa(limit));
}

const ops::Kernels& select_kernels(Isa limit) { return selection(detect_isa(limit)); }

Backend::Backend(const Options& options)
    : kernels_(select_kernels(options.isa_limit)), pool_(options.threads) {}

}  // namespace hearth::backend::cpu
