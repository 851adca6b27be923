// For tests: AMX where the machine has none. A processor without it refuses its instructions with
// SIGILL; while an EmulatedTiles lives, a handler does instead what the manual says each does, and
// the program goes on behind it. So the very code is tested that a machine with AMX would run.
//
// Only the instructions that this folder uses, and strictly: what would be a fault there ends the
// process here.
#pragma once

#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>

#include "backend/cpu/tiles_amx.h"

namespace hearth::backend::cpu {

class EmulatedTiles {
 public:
  EmulatedTiles() {
    struct sigaction action = {};
    action.sa_sigaction = on_refused;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGILL, &action, &before_);
  }
  ~EmulatedTiles() { sigaction(SIGILL, &before_, nullptr); }
  EmulatedTiles(const EmulatedTiles&) = delete;
  EmulatedTiles& operator=(const EmulatedTiles&) = delete;

  // Threads whose registers are set up, and products of tiles so far.
  static int threads() { return threads_; }
  static int64_t products() { return products_; }

 private:
  struct Register {
    alignas(64) uint8_t row[16][64];
  };
  // Of a thread.
  struct State {
    bool set_up = false;
    TileShapes shapes;
    Register registers[8];
  };

  // One instruction: prefix VEX of three bytes, opcode, ModRM, and what follows it.
  struct Instruction {
    uint8_t opcode, prefix;     // prefix: 0, 2 for F3, 3 for F2
    int mode, reg, rm, second;  // of ModRM; `second` is the register that the prefix names
    const uint8_t* base;        // of an operand in memory
    int64_t stride;             // its index, scaled
    int64_t bytes;
  };

  [[noreturn]] static void fail(const char* why) {
    std::fprintf(stderr, "a fault on a machine with AMX: %s\n", why);
    std::abort();
  }
  static void expect(bool ok, const char* what) {
    if (!ok) fail(what);
  }

  static State& state() {
    thread_local State s;
    return s;
  }

  static int64_t general(const ucontext_t& context, int number) {
    constexpr int kOrder[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                              REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                              REG_R12, REG_R13, REG_R14, REG_R15};
    return context.uc_mcontext.gregs[kOrder[number]];
  }

  static int64_t displacement(const uint8_t* at, int bytes) {
    int32_t wide;
    if (bytes == 0) return 0;
    if (bytes == 1) return static_cast<int8_t>(*at);
    std::memcpy(&wide, at, sizeof(wide));
    return wide;
  }

  static Instruction decode(const ucontext_t& context) {
    const auto* const at = reinterpret_cast<const uint8_t*>(context.uc_mcontext.gregs[REG_RIP]);
    expect(at[0] == 0xc4 && (at[1] & 31) == 2 && (at[2] & 0x84) == 0, "not an instruction of AMX");
    const int high_reg = at[1] & 0x80 ? 0 : 8, high_index = at[1] & 0x40 ? 0 : 8,
              high_base = at[1] & 0x20 ? 0 : 8;
    Instruction i = {};
    i.opcode = at[3];
    i.prefix = at[2] & 3;
    i.second = ~(at[2] >> 3) & 15;
    i.mode = at[4] >> 6;
    i.reg = (at[4] >> 3 & 7) + high_reg;
    i.rm = at[4] & 7;
    i.bytes = 5;
    if (i.mode == 3) return i;
    int64_t address = 0;
    int wide = i.mode == 1 ? 1 : i.mode == 2 ? 4 : 0;
    bool from_here = false;
    if (i.rm == 4) {
      const uint8_t sib = at[5];
      const int index = (sib >> 3 & 7) + high_index, base = sib & 7;
      if (index != 4) i.stride = general(context, index) * (int64_t{1} << (sib >> 6));
      if (base == 5 && i.mode == 0) {
        wide = 4;
      } else {
        address = general(context, base + high_base);
      }
      ++i.bytes;
    } else if (i.rm == 5 && i.mode == 0) {
      wide = 4;
      from_here = true;
    } else {
      address = general(context, i.rm + high_base);
    }
    address += displacement(at + i.bytes, wide);
    i.bytes += wide;
    if (from_here) address += reinterpret_cast<int64_t>(at) + i.bytes;
    i.base = reinterpret_cast<const uint8_t*>(address);
    return i;
  }

  static int rows(const State& s, int tile) { return s.shapes.rows[tile]; }
  static int row_bytes(const State& s, int tile) { return s.shapes.row_bytes[tile]; }

  static void set_up(State& s, const Instruction& i) {
    std::memcpy(static_cast<void*>(&s.shapes), i.base, sizeof(s.shapes));
    expect(s.shapes.palette == 1 && s.shapes.start_row == 0, "shapes of another palette");
    for (int t = 0; t < 16; ++t) {
      expect(rows(s, t) <= 16 && row_bytes(s, t) <= 64, "a shape that is too large");
      expect((rows(s, t) == 0) == (row_bytes(s, t) == 0), "a shape with no rows or no bytes");
      expect(t < 8 || rows(s, t) == 0, "a register that does not exist");
    }
    std::memset(s.registers, 0, sizeof(s.registers));
    if (!s.set_up) ++threads_;
    s.set_up = true;
  }

  static void give_back(State& s) {
    if (s.set_up) --threads_;
    s.set_up = false;
  }

  // The factors' shapes must fit each other and the sums'.
  static void check_product(const State& s, const Instruction& i) {
    const int sums = i.reg, a = i.rm, b = i.second;
    expect(sums != a && sums != b && a != b, "a product of a register with itself");
    expect(rows(s, sums) == rows(s, a) && row_bytes(s, sums) == row_bytes(s, b) &&
               row_bytes(s, a) == 4 * rows(s, b) && rows(s, a) > 0,
           "a product of shapes that do not fit");
    ++products_;
  }

  static void multiply_bytes(State& s, const Instruction& i) {
    check_product(s, i);
    const Register &a = s.registers[i.rm], &b = s.registers[i.second];
    for (int m = 0; m < rows(s, i.reg); ++m) {
      for (int n = 0; n < row_bytes(s, i.reg) / 4; ++n) {
        uint8_t* const at = s.registers[i.reg].row[m] + 4 * n;
        int32_t sum;
        std::memcpy(&sum, at, sizeof(sum));
        for (int k = 0; k < row_bytes(s, i.rm); ++k) {
          sum += static_cast<int8_t>(a.row[m][k]) * b.row[k / 4][4 * n + k % 4];
        }
        std::memcpy(at, &sum, sizeof(sum));
      }
    }
  }

  // What is smaller than the smallest normal number counts as zero, as input and as result.
  static float normal(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? 0.0f * x : x; }
  static float element(const Register& r, int row, int at) {
    const uint32_t bits = uint32_t{r.row[row][2 * at + 1]} << 24 | uint32_t{r.row[row][2 * at]}
                                                                       << 16;
    float x;
    std::memcpy(&x, &bits, sizeof(x));
    return normal(x);
  }

  static void multiply_bf16(State& s, const Instruction& i) {
    check_product(s, i);
    const Register &a = s.registers[i.rm], &b = s.registers[i.second];
    for (int m = 0; m < rows(s, i.reg); ++m) {
      for (int n = 0; n < row_bytes(s, i.reg) / 4; ++n) {
        float even = 0.0f, odd = 0.0f, sum;
        for (int k = 0; k < row_bytes(s, i.rm) / 4; ++k) {
          even = normal(std::fma(element(a, m, 2 * k), element(b, k, 2 * n), even));
          odd = normal(std::fma(element(a, m, 2 * k + 1), element(b, k, 2 * n + 1), odd));
        }
        uint8_t* const at = s.registers[i.reg].row[m] + 4 * n;
        std::memcpy(&sum, at, sizeof(sum));
        sum = normal(normal(sum) + normal(even + odd));
        std::memcpy(at, &sum, sizeof(sum));
      }
    }
  }

  static void load(State& s, const Instruction& i) {
    expect(rows(s, i.reg) > 0, "a register without a shape");
    std::memset(&s.registers[i.reg], 0, sizeof(Register));
    for (int m = 0; m < rows(s, i.reg); ++m) {
      std::memcpy(s.registers[i.reg].row[m], i.base + m * i.stride,
                  static_cast<size_t>(row_bytes(s, i.reg)));
    }
  }
  static void store(const State& s, const Instruction& i) {
    expect(rows(s, i.reg) > 0, "a register without a shape");
    for (int m = 0; m < rows(s, i.reg); ++m) {
      std::memcpy(const_cast<uint8_t*>(i.base) + m * i.stride, s.registers[i.reg].row[m],
                  static_cast<size_t>(row_bytes(s, i.reg)));
    }
  }

  static void execute(State& s, const Instruction& i) {
    if (i.opcode == 0x49 && i.prefix == 0) return i.mode == 3 ? give_back(s) : set_up(s, i);
    expect(s.set_up, "registers that are not set up");
    expect(i.reg < 8 && (i.mode != 3 || i.rm < 8), "a register that does not exist");
    if (i.opcode == 0x49 && i.prefix == 3) {
      std::memset(&s.registers[i.reg], 0, sizeof(Register));
    } else if (i.opcode == 0x4b && i.prefix == 3) {
      load(s, i);
    } else if (i.opcode == 0x4b && i.prefix == 2) {
      store(s, i);
    } else if (i.opcode == 0x5e && i.prefix == 2) {
      multiply_bytes(s, i);
    } else if (i.opcode == 0x5c && i.prefix == 2) {
      multiply_bf16(s, i);
    } else {
      fail("an instruction that is not known here");
    }
  }

  static void on_refused(int, siginfo_t*, void* context) {
    auto& at = *static_cast<ucontext_t*>(context);
    const Instruction i = decode(at);
    execute(state(), i);
    at.uc_mcontext.gregs[REG_RIP] += i.bytes;
  }

  static inline std::atomic<int> threads_{0};
  static inline std::atomic<int64_t> products_{0};
  struct sigaction before_ = {};
};

}  // namespace hearth::backend::cpu
