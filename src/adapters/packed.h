// An adapter in memory as the kernels read it: rows of A and columns of B in pages.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "adapters/binding.h"
#include "adapters/dora.h"
#include "adapters/page_memory.h"
#include "ops/lora.h"

namespace hearth::adapters {

// The parts of each projection. Immutable once packed; its pages are somebody else's.
class PackedAdapter {
 public:
  std::span<const ops::LoraPart> parts(int32_t slot) const {
    const auto at = static_cast<size_t>(slot);
    return std::span(parts_).subspan(first_[at], first_[at + 1] - first_[at]);
  }

 private:
  friend PackedAdapter pack(std::span<const BoundPart>, std::span<const nn::Projection>,
                            std::span<const DoraGain>, std::optional<DType>,
                            std::span<const int32_t>, const PageMemory&);
  std::vector<const void*> rows_;
  std::vector<ops::LoraPart> parts_;  // by slot
  std::vector<size_t> first_;         // [slots + 1] into parts_
};

// Pages that the parts take. `dtype`: what A and B are stored as; absent: as in the file.
int32_t pages_for(std::span<const BoundPart> parts, std::optional<DType> dtype, int64_t page_bytes);

// Writes an adapter into its pages. `gains` has one entry a part, or none at all.
PackedAdapter pack(std::span<const BoundPart> parts, std::span<const nn::Projection> projections,
                   std::span<const DoraGain> gains, std::optional<DType> dtype,
                   std::span<const int32_t> pages, const PageMemory& memory);

}  // namespace hearth::adapters
