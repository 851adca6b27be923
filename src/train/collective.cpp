#include "train/collective.h"

#include <algorithm>

#include "base/check.h"

namespace hearth::train {
namespace {

std::span<std::byte> part(std::span<std::byte> values, const Slice& slice) {
  return values.subspan(static_cast<size_t>(slice.begin), static_cast<size_t>(slice.count()));
}

int64_t owned_by(std::span<const Slice> slices, int rank) {
  int64_t sum = 0;
  for (const Slice& slice : slices) sum += slice.owner == rank ? slice.count() : 0;
  return sum;
}

// Equal parts of [0, count), one for each rank.
std::vector<Slice> even_slices(int64_t count, int ranks) {
  std::vector<Slice> slices;
  for (int rank = 0; rank < ranks; ++rank) {
    slices.push_back({count * rank / ranks, count * (rank + 1) / ranks, rank});
  }
  return slices;
}

}  // namespace

void Collective::barrier(std::string_view what) {
  const double nothing[] = {0.0};
  all_gather(std::span<const double>(nothing), what);
}

void Collective::reduce_scatter(std::span<const float> values, std::span<const Slice> slices,
                                std::span<float> own, std::string_view what) {
  const int64_t count = owned_by(slices, rank());
  CHECK(count == static_cast<int64_t>(own.size()), "{} elements for {}", own.size(), count);
  std::vector<Wire::Outgoing> out;
  for (const Slice& slice : slices) {
    if (slice.owner == rank()) continue;
    out.push_back({slice.owner, std::as_bytes(values.subspan(static_cast<size_t>(slice.begin),
                                                             static_cast<size_t>(slice.count())))});
  }
  // What the others have for this rank: [size - 1, own], each rank's parcels end to end.
  std::vector<Wire::Incoming> in;
  received_.resize(own.size() * static_cast<size_t>(size() - 1));
  float* next = received_.data();
  for (int from = 0; from < size(); ++from) {
    if (from == rank()) continue;
    for (const Slice& slice : slices) {
      if (slice.owner != rank()) continue;
      const auto elements = static_cast<size_t>(slice.count());
      in.push_back({from, std::as_writable_bytes(std::span(next, elements))});
      next += elements;
    }
  }
  if (wire_ != nullptr) wire_->exchange(out, in, what);
  add_in_order(values, slices, own);
}

void Collective::add_in_order(std::span<const float> values, std::span<const Slice> slices,
                              std::span<float> own) {
  sums_.assign(own.size(), 0.0f);
  const float* row = received_.data();
  for (int from = 0; from < size(); ++from) {
    if (from != rank()) {
      for (size_t i = 0; i < own.size(); ++i) sums_[i] += row[i];
      row += own.size();
      continue;
    }
    size_t at = 0;
    for (const Slice& slice : slices) {
      if (slice.owner != rank()) continue;
      for (int64_t i = slice.begin; i < slice.end; ++i)
        sums_[at++] += values[static_cast<size_t>(i)];
    }
  }
  for (size_t i = 0; i < own.size(); ++i) own[i] += sums_[i];
}

void Collective::all_gather(std::span<std::byte> values, std::span<const Slice> slices,
                            std::string_view what) {
  if (wire_ == nullptr) return;
  std::vector<Wire::Outgoing> out;
  std::vector<Wire::Incoming> in;
  for (const Slice& slice : slices) {
    if (slice.owner != rank()) {
      in.push_back({slice.owner, part(values, slice)});
      continue;
    }
    for (int to = 0; to < size(); ++to) {
      if (to != rank()) out.push_back({to, part(values, slice)});
    }
  }
  wire_->exchange(out, in, what);
}

std::vector<double> Collective::all_gather(std::span<const double> values, std::string_view what) {
  std::vector<double> all(values.size() * static_cast<size_t>(size()));
  const auto bytes = static_cast<int64_t>(values.size_bytes());
  std::vector<Slice> slices;
  for (int from = 0; from < size(); ++from) {
    slices.push_back({from * bytes, (from + 1) * bytes, from});
  }
  std::copy(values.begin(), values.end(),
            all.begin() + static_cast<int64_t>(values.size()) * rank());
  all_gather(std::as_writable_bytes(std::span(all)), slices, what);
  return all;
}

void Collective::all_reduce(std::span<float> values, std::string_view what) {
  if (wire_ == nullptr) return;
  std::vector<Slice> slices = even_slices(static_cast<int64_t>(values.size()), size());
  std::vector<float> own(static_cast<size_t>(owned_by(slices, rank())), 0.0f);
  reduce_scatter(values, slices, own, what);
  const Slice& mine = slices[static_cast<size_t>(rank())];
  std::copy(own.begin(), own.end(), values.begin() + mine.begin);
  for (Slice& slice : slices) {
    slice.begin *= static_cast<int64_t>(sizeof(float));
    slice.end *= static_cast<int64_t>(sizeof(float));
  }
  all_gather(std::as_writable_bytes(values), slices, what);
}

void Collective::all_reduce(std::span<double> values, std::string_view what) {
  const std::vector<double> all = all_gather(std::span<const double>(values), what);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = 0;
    for (size_t at = i; at < all.size(); at += values.size()) values[i] += all[at];
  }
}

void Collective::broadcast(std::span<std::byte> values, int root, std::string_view what) {
  const Slice whole[] = {{0, static_cast<int64_t>(values.size()), root}};
  all_gather(values, whole, what);
}

}  // namespace hearth::train
