// A table of kernels that takes the time of each op.
#pragma once

#include <array>
#include <chrono>

#include "backend/cpu/cpu_kernels.h"

namespace hearth::bench {

inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

inline constexpr std::array<const char*, 10> kOps = {"linear", "group", "attention",  "kv_store",
                                                     "norm",   "rope",  "activation", "residual",
                                                     "embed",  "gated"};
inline std::array<double, kOps.size()> op_seconds;

template <size_t kOp, int kUse, typename... Args>
struct Timed {
  static inline void (*inner)(Args...) = nullptr;
  static void call(Args... args) {
    const double begin = now();
    inner(args...);
    op_seconds[kOp] += now() - begin;
  }
};

// kUse keeps apart the kernels of one signature that count as one op.
template <size_t kOp, int kUse = 0, typename... Args>
void take_time(void (*&kernel)(Args...)) {
  Timed<kOp, kUse, Args...>::inner = kernel;
  kernel = Timed<kOp, kUse, Args...>::call;
}

inline backend::cpu::CpuKernels timed_kernels(const ops::Kernels& kernels) {
  auto timed = static_cast<const backend::cpu::CpuKernels&>(kernels);
  take_time<0>(timed.linear);
  take_time<1>(timed.linear_group);
  take_time<2>(timed.attention);
  take_time<3>(timed.kv_store);
  take_time<4>(timed.rms_norm);
  take_time<4, 1>(timed.layer_norm);
  take_time<5>(timed.rope);
  take_time<5, 1>(timed.rope_angles);
  take_time<6>(timed.activate);
  take_time<6, 1>(timed.gated_activate);
  take_time<7>(timed.add);
  take_time<8>(timed.embed);
  take_time<9>(timed.gated_linear);
  return timed;
}

}  // namespace hearth::bench
