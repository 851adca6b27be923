#include "backend/cpu/train_kernels.h"

#include <string>
#include <vector>

#include "backend/cpu/internal/train_table.h"
#include "backend/cpu/isa.h"
#include "base/error.h"

namespace hearth::backend::cpu {
namespace {

std::vector<const ops::TrainKernels*> supported() {
  const Isa isa = detect_isa();
  std::vector<const ops::TrainKernels*> list;
  if (isa >= Isa::kAvx512Bf16) list.push_back(&train_kernels_avx512bf16());
  if (isa >= Isa::kAvx512) list.push_back(&train_kernels_avx512());
  if (isa >= Isa::kAvx2) list.push_back(&train_kernels_avx2());
  list.push_back(&train_kernels_plain());
  return list;
}

}  // namespace

const ops::TrainKernels& train_kernels_plain() {
  static constexpr ops::TrainKernels kTable = train_table("plain");
  return kTable;
}

std::span<const ops::TrainKernels* const> train_kernels_here() {
  static const std::vector<const ops::TrainKernels*> kList = supported();
  return kList;
}

const ops::TrainKernels& train_kernels(std::string_view name) {
  std::string choices;
  for (const ops::TrainKernels* kernels : train_kernels_here()) {
    if (name.empty() || name == kernels->name) return *kernels;
    choices += (choices.empty() ? "" : ", ") + std::string(kernels->name);
  }
  throw_error(ErrorCode::kInvalidArgument, "kernels", "'{}' does not run here; choose one of {}",
              name, choices);
}

}  // namespace hearth::backend::cpu
