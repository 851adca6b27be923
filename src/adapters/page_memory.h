// The memory that adapters lie in: pages of one size, taken from the system as they are written.
// Who owns which page is the engine's business.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "nn/projection.h"

namespace hearth::adapters {

class PageMemory {
 public:
  // Throws Error{kResourceExhausted} naming --adapter-memory when the map does not fit.
  PageMemory(int32_t pages, int64_t page_bytes);
  ~PageMemory();
  PageMemory(const PageMemory&) = delete;
  PageMemory& operator=(const PageMemory&) = delete;

  std::byte* page(int32_t index) const { return data_ + int64_t{index} * page_bytes_; }
  int32_t pages() const { return pages_; }
  int64_t page_bytes() const { return page_bytes_; }

 private:
  const int32_t pages_;
  const int64_t page_bytes_;
  std::byte* data_ = nullptr;
};

// A size that holds the longest row of these projections, and some rows of most.
int64_t page_bytes_for(std::span<const nn::Projection> projections);

// Puts rows into pages one after another; none is split. The same calls give the same places.
class RowPlacer {
 public:
  struct Place {
    int32_t page = 0;  // of those that are used, in order
    int64_t offset = 0;
  };

  explicit RowPlacer(int64_t page_bytes) : page_bytes_(page_bytes) {}
  Place next(int64_t bytes);
  int32_t pages() const { return pages_; }

 private:
  const int64_t page_bytes_;
  int32_t pages_ = 0;
  int64_t used_ = 0;  // of the last page
};

}  // namespace hearth::adapters
