#include "adapters/packed.h"

#include <algorithm>
#include <cstring>

#include "adapters/elements.h"
#include "base/check.h"

namespace hearth::adapters {
namespace {

constexpr int64_t kF32Bytes = sizeof(float);

int64_t element_bytes(const StoredModule& module, std::optional<DType> dtype) {
  return static_cast<int64_t>(dtype_bytes(dtype.value_or(module.a.dtype)));
}

// A module's A and B may be stored in two types; they are held in the one of A.
DType held_as(const StoredModule& module, std::optional<DType> dtype) {
  return dtype.value_or(module.a.dtype);
}

// Calls place(bytes) for each row of a part, in the one order that everybody keeps.
template <typename Place>
void each_row(const BoundPart& part, std::optional<DType> dtype, const Place& place) {
  const int64_t bytes = element_bytes(*part.module, dtype);
  for (int64_t k = 0; k < part.module->rank; ++k) place(part.module->in() * bytes);
  for (int64_t k = 0; k < part.module->rank; ++k) place(part.out * bytes);
  if (part.module->magnitude.empty()) return;
  place(part.out * kF32Bytes);
  place(part.out * kF32Bytes);
}

void put(DType dtype, float value, std::byte* to) {
  if (dtype == DType::kF32) {
    std::memcpy(to, &value, sizeof value);
    return;
  }
  const uint16_t bits = dtype == DType::kF16 ? f16_from_float(value) : bf16_from_float(value);
  std::memcpy(to, &bits, sizeof bits);
}

// Row `row` of A.
void write_row(const TensorView& a, int64_t row, DType dtype, std::byte* to) {
  const int64_t in = a.cols();
  const int64_t bytes = static_cast<int64_t>(dtype_bytes(dtype));
  if (a.dtype == dtype) {
    std::memcpy(to, static_cast<const std::byte*>(a.data) + row * in * bytes,
                static_cast<size_t>(in * bytes));
    return;
  }
  for (int64_t i = 0; i < in; ++i) put(dtype, element(a, row * in + i), to + i * bytes);
}

// Outputs at a time: their rows of B stay in the first-level cache while column after column is
// written.
constexpr int64_t kTransposedOuts = 64;

// Columns [0, rank) of B, one to each of `to`; elements of the same type are moved as they are.
template <typename Word>
void transpose_words(const TensorView& b, const nn::Projection& projection, const BoundPart& part,
                     void* const* to) {
  const int64_t rank = b.cols();
  const auto* from = static_cast<const std::byte*>(b.data);
  constexpr int64_t kBytes = sizeof(Word);
  for (int64_t begin = 0; begin < part.out; begin += kTransposedOuts) {
    const int64_t end = std::min(part.out, begin + kTransposedOuts);
    const std::byte* rows[kTransposedOuts];
    for (int64_t o = begin; o < end; ++o) {
      rows[o - begin] = from + source_row(projection, part, o) * rank * kBytes;
    }
    for (int64_t k = 0; k < rank; ++k) {
      Word* column = static_cast<Word*>(to[k]);
      for (int64_t o = begin; o < end; ++o) {
        std::memcpy(column + o, rows[o - begin] + k * kBytes, sizeof(Word));
      }
    }
  }
}

void write_columns(const nn::Projection& projection, const BoundPart& part, DType dtype,
                   void* const* to) {
  const TensorView& b = part.module->b;
  if (b.dtype == dtype && dtype == DType::kF32) {
    return transpose_words<uint32_t>(b, projection, part, to);
  }
  if (b.dtype == dtype) return transpose_words<uint16_t>(b, projection, part, to);
  const int64_t bytes = static_cast<int64_t>(dtype_bytes(dtype));
  for (int64_t o = 0; o < part.out; ++o) {
    const int64_t row = source_row(projection, part, o) * b.cols();
    for (int64_t k = 0; k < b.cols(); ++k) {
      put(dtype, element(b, row + k), static_cast<std::byte*>(to[k]) + o * bytes);
    }
  }
}

// Rows given out in the order of each_row().
class Rows {
 public:
  Rows(std::span<const int32_t> pages, const PageMemory& memory)
      : placer_(memory.page_bytes()), pages_(pages), memory_(memory) {}

  std::byte* next(int64_t bytes) {
    const RowPlacer::Place place = placer_.next(bytes);
    CHECK(static_cast<size_t>(place.page) < pages_.size(), "{} pages are too few", pages_.size());
    return memory_.page(pages_[static_cast<size_t>(place.page)]) + place.offset;
  }

 private:
  RowPlacer placer_;
  std::span<const int32_t> pages_;
  const PageMemory& memory_;
};

}  // namespace

int32_t pages_for(std::span<const BoundPart> parts, std::optional<DType> dtype,
                  int64_t page_bytes) {
  RowPlacer placer(page_bytes);
  for (const BoundPart& part : parts) {
    each_row(part, dtype, [&](int64_t bytes) { placer.next(bytes); });
  }
  return placer.pages();
}

PackedAdapter pack(std::span<const BoundPart> parts, std::span<const nn::Projection> projections,
                   std::span<const DoraGain> gains, std::optional<DType> dtype,
                   std::span<const int32_t> pages, const PageMemory& memory) {
  PackedAdapter packed;
  size_t rows = 0;
  for (const BoundPart& part : parts) rows += 2 * static_cast<size_t>(part.module->rank);
  packed.rows_.reserve(rows);  // its elements are pointed to
  packed.first_.resize(projections.size() + 1);
  Rows places(pages, memory);
  for (size_t i = 0; i < parts.size(); ++i) {
    const BoundPart& part = parts[i];
    const StoredModule& module = *part.module;
    std::vector<std::byte*> own;
    each_row(part, dtype, [&](int64_t bytes) { own.push_back(places.next(bytes)); });
    const auto rank = static_cast<size_t>(module.rank);
    const DType held = held_as(module, dtype);
    for (size_t k = 0; k < rank; ++k) {
      write_row(module.a, static_cast<int64_t>(k), held, own[k]);
    }
    std::vector<void*> columns(own.begin() + module.rank, own.begin() + 2 * module.rank);
    write_columns(projections[static_cast<size_t>(part.slot)], part, held, columns.data());
    const void* const* first = packed.rows_.data() + packed.rows_.size();
    packed.rows_.insert(packed.rows_.end(), own.begin(), own.begin() + 2 * module.rank);
    ops::LoraPart& to = packed.parts_.emplace_back();
    to.dtype = held;
    to.rank = static_cast<int32_t>(module.rank);
    to.a = first;
    to.b = first + module.rank;
    to.scale = module.scale;
    to.out_begin = part.begin;
    to.out = part.out;
    ++packed.first_[static_cast<size_t>(part.slot) + 1];
    if (module.magnitude.empty()) continue;
    const auto bytes = static_cast<size_t>(part.out * kF32Bytes);
    std::memcpy(own[2 * rank], gains[i].gain.data(), bytes);
    std::memcpy(own[2 * rank + 1], gains[i].shift.data(), bytes);
    to.gain = reinterpret_cast<const float*>(own[2 * rank]);
    to.shift = reinterpret_cast<const float*>(own[2 * rank + 1]);
  }
  for (size_t s = 1; s < packed.first_.size(); ++s) packed.first_[s] += packed.first_[s - 1];
  return packed;
}

}  // namespace hearth::adapters
