#include "backend/cpu/cpu_backend.h"

#include <gtest/gtest.h>
#include <string>

#include "backend/cpu/test_support.h"

namespace hearth::backend::cpu {
namespace {

class Selection : public testing::TestWithParam<Isa> {};
INSTANTIATE_TEST_SUITE_P(Cpu, Selection, testing::ValuesIn(isa_levels()), isa_name);

std::string variant_of(const ops::Kernels& kernels, const std::string& op) {
  for (const ops::KernelChoice& choice : kernels.choices) {
    if (choice.op == op) return choice.variant;
  }
  return "none";
}

TEST_P(Selection, EveryOpHasAKernel) {
  const ops::Kernels& k = select_kernels(GetParam());
  EXPECT_NE(k.linear, nullptr);
  EXPECT_NE(k.rms_norm, nullptr);
  EXPECT_NE(k.layer_norm, nullptr);
  EXPECT_NE(k.rope_angles, nullptr);
  EXPECT_NE(k.rope, nullptr);
  EXPECT_NE(k.kv_store, nullptr);
  EXPECT_NE(k.kv_copy_block, nullptr);
  EXPECT_NE(k.attention, nullptr);
  EXPECT_NE(k.embed, nullptr);
  EXPECT_NE(k.gather_rows, nullptr);
  EXPECT_NE(k.add, nullptr);
  EXPECT_NE(k.activate, nullptr);
  EXPECT_NE(k.gated_activate, nullptr);
  EXPECT_NE(k.soft_cap, nullptr);
  EXPECT_NE(k.scale, nullptr);
}

TEST_P(Selection, NamesWhatWasChosen) {
  const ops::Kernels& k = select_kernels(GetParam());
  const bool baseline = GetParam() == Isa::kBaseline;
  EXPECT_STREQ(k.name, baseline ? "reference" : to_string(GetParam()));
  const std::string vectors = baseline                     ? "reference"
                              : GetParam() >= Isa::kAvx512 ? "avx512"
                                                           : "avx2";
  const std::string bf16 = GetParam() == Isa::kAmx          ? "amx"
                           : GetParam() == Isa::kAvx512Bf16 ? "avx512bf16"
                                                            : vectors;
  EXPECT_EQ(variant_of(k, "linear bf16"), bf16);
  const std::string dots = GetParam() == Isa::kAmx          ? "amx"
                           : GetParam() >= Isa::kAvx512Vnni ? "avx512vnni"
                           : GetParam() == Isa::kAvxVnni    ? "avxvnni"
                           : baseline                       ? "reference"
                                                            : "avx2";
  EXPECT_EQ(variant_of(k, "linear q8, q4"), dots);
  EXPECT_EQ(variant_of(k, "rows"), vectors);
  EXPECT_EQ(variant_of(k, "attention"), vectors);
}

TEST(Selection, ALimitIsNeverExceededAndNeitherIsTheMachine) {
  EXPECT_STREQ(select_kernels(Isa::kBaseline).name, "reference");
  EXPECT_EQ(&select_kernels(kIsaMost), &select_kernels(detect_isa()));
}

}  // namespace
}  // namespace hearth::backend::cpu
