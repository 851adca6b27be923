#include "adapters/page_memory.h"

#include <algorithm>
#include <sys/mman.h>

#include "base/check.h"
#include "base/error.h"

namespace hearth::adapters {
namespace {

constexpr int64_t kRowAlignment = 64;  // a cache line
constexpr int64_t kPageMultiple = 4096;
constexpr int64_t kPageBytesMin = 16 * 1024;

int64_t round_up(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

}  // namespace

PageMemory::PageMemory(int32_t pages, int64_t page_bytes) : pages_(pages), page_bytes_(page_bytes) {
  if (pages == 0) return;
  const size_t bytes = static_cast<size_t>(pages) * static_cast<size_t>(page_bytes);
  void* map = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED) {
    throw_error(ErrorCode::kResourceExhausted, "--adapter-memory", "could not map {} bytes", bytes);
  }
  ::madvise(map, bytes, MADV_HUGEPAGE);
  data_ = static_cast<std::byte*>(map);
}

PageMemory::~PageMemory() {
  if (data_ != nullptr) ::munmap(data_, static_cast<size_t>(pages_ * page_bytes_));
}

int64_t page_bytes_for(std::span<const nn::Projection> projections) {
  int64_t longest = 0;
  for (const nn::Projection& projection : projections) {
    longest = std::max({longest, projection.in, projection.out});
  }
  const int64_t row = longest * static_cast<int64_t>(sizeof(float));
  return std::max(kPageBytesMin, round_up(row, kPageMultiple));
}

RowPlacer::Place RowPlacer::next(int64_t bytes) {
  CHECK(bytes <= page_bytes_, "a row of {} bytes for pages of {}", bytes, page_bytes_);
  if (pages_ == 0 || used_ + bytes > page_bytes_) {
    ++pages_;
    used_ = 0;
  }
  const Place place{pages_ - 1, used_};
  used_ = std::min(page_bytes_, used_ + round_up(bytes, kRowAlignment));
  return place;
}

}  // namespace hearth::adapters
