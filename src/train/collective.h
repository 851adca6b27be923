// What the ranks of one run do together: sums, copies, barriers.
//
// Every sum is made in the order of ranks by the rank that owns its elements, whatever carries the
// bytes and whoever comes first: the same inputs give the same bits on every wire, every time. A
// direct exchange moves as many bytes as a ring does, (N-1)/N of the data each way. Used by one
// thread at a time.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "train/wire.h"

namespace hearth::train {

// A range of a flat buffer and the rank that keeps it.
struct Slice {
  int64_t begin = 0;
  int64_t end = 0;
  int owner = 0;
  int64_t count() const { return end - begin; }
};

class Collective {
 public:
  // nullptr: one rank, alone; every operation is then a copy or nothing.
  explicit Collective(Wire* wire) : wire_(wire) {}

  int rank() const { return wire_ == nullptr ? 0 : wire_->rank(); }
  int size() const { return wire_ == nullptr ? 1 : wire_->size(); }

  void barrier(std::string_view what);
  // own += Σ over ranks of values[s.begin, s.end) for each slice s of this rank, laid end to end.
  void reduce_scatter(std::span<const float> values, std::span<const Slice> slices,
                      std::span<float> own, std::string_view what);
  // Each slice of `values` becomes what its owner has there.
  void all_gather(std::span<std::byte> values, std::span<const Slice> slices,
                  std::string_view what);
  // The values of all ranks, one rank after the other: [size * values].
  std::vector<double> all_gather(std::span<const double> values, std::string_view what);
  // Each element becomes its sum over ranks.
  void all_reduce(std::span<float> values, std::string_view what);
  void all_reduce(std::span<double> values, std::string_view what);
  void broadcast(std::span<std::byte> values, int root, std::string_view what);

 private:
  void add_in_order(std::span<const float> values, std::span<const Slice> slices,
                    std::span<float> own);

  Wire* wire_;
  std::vector<float> received_, sums_;
};

}  // namespace hearth::train
