#include "backend/cpu/isa.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace hearth::backend::cpu {
namespace {

// Of arch_prctl(2), Linux 5.16 and later; Debian 12's headers of the C library lack them.
constexpr int kRequestRegisters = 0x1023;  // ARCH_REQ_XCOMP_PERM
constexpr int kTileRegisters = 18;         // XFEATURE_XTILEDATA

// Which registers the system saves for a thread that it takes off a core.
uint64_t saved_registers() {
  uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

// Whether the processor has tiles with both products, the system saves them, and it lets this
// process use them: 8 KiB a thread, which it gives only to who asks. The compiler's own test knows
// nothing of the last.
bool may_use_tiles() {
  constexpr uint32_t kBf16 = 1u << 22, kTile = 1u << 24, kInt8 = 1u << 25;  // of edx
  constexpr uint32_t kXgetbv = 1u << 27;                                    // of ecx
  constexpr uint64_t kTileConfigAndData = uint64_t{3} << 17;
  uint32_t a, b, c, d;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & kXgetbv) == 0) return false;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  if ((~d & (kBf16 | kTile | kInt8)) != 0) return false;
  if ((~saved_registers() & kTileConfigAndData) != 0) return false;
  return syscall(SYS_arch_prctl, kRequestRegisters, kTileRegisters) == 0;
}

}  // namespace

const char* to_string(Isa isa) {
  switch (isa) {
    case Isa::kBaseline:
      return "baseline";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvxVnni:
      return "avxvnni";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx512Vnni:
      return "avx512vnni";
    case Isa::kAvx512Bf16:
      return "avx512bf16";
    case Isa::kAmx:
      return "amx";
  }
  return "?";
}

bool has_isa(Isa isa) {
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  const bool vnni = avx512 && __builtin_cpu_supports("avx512vnni");
  const bool bf16 = vnni && __builtin_cpu_supports("avx512bf16");
  switch (isa) {
    case Isa::kBaseline:
      return true;
    case Isa::kAvx2:
      return avx2;
    case Isa::kAvxVnni:
      return avx2 && __builtin_cpu_supports("avxvnni");
    case Isa::kAvx512:
      return avx512;
    case Isa::kAvx512Vnni:
      return vnni;
    case Isa::kAvx512Bf16:
      return bf16;
    case Isa::kAmx: {
      static const bool tiles = bf16 && may_use_tiles();
      return tiles;
    }
  }
  return false;
}

Isa detect_isa(Isa limit) {
  auto isa = limit;
  while (!has_isa(isa)) isa = static_cast<Isa>(static_cast<uint8_t>(isa) - 1);
  return isa;
}

}  // namespace hearth::backend::cpu
