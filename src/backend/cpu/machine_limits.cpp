#include "backend/cpu/machine_limits.h"

#include "backend/cpu/isa.h"

namespace hearth::backend::cpu {

MachineLimits machine_limits() {
  const Isa isa = detect_isa();
  if (isa == Isa::kBaseline) return {};
  MachineLimits limits = isa >= Isa::kAvx512 ? kLimitsAvx512 : kLimitsAvx2;
  if (has_isa(Isa::kAvxVnni)) limits.int8_products = int8_products_avxvnni;
  if (isa >= Isa::kAvx512Vnni) limits.int8_products = int8_products_avx512vnni;
  if (isa >= Isa::kAvx512Bf16) limits.bf16_products = bf16_products_avx512bf16;
  if (isa == Isa::kAmx) {
    limits.int8_products = int8_products_amx;
    limits.bf16_products = bf16_products_amx;
  }
  return limits;
}

}  // namespace hearth::backend::cpu
