#include "train/weight_gather.h"

#include <algorithm>

namespace hearth::train {
namespace {

void append(std::vector<Slice>& slices, const Slice& slice) {
  if (!slices.empty() && slices.back().end == slice.begin && slices.back().owner == slice.owner) {
    slices.back().end = slice.end;
  } else {
    slices.push_back(slice);
  }
}

// The same ranges in bytes.
std::vector<Slice> in_bytes(std::vector<Slice> slices, DType dtype) {
  const auto bytes = static_cast<int64_t>(dtype_bytes(dtype));
  for (Slice& slice : slices) {
    slice.begin *= bytes;
    slice.end *= bytes;
  }
  return slices;
}

std::span<std::byte> bytes_of(const TensorView& flat) {
  return {static_cast<std::byte*>(flat.data),
          static_cast<size_t>(flat.shape.count()) * dtype_bytes(flat.dtype)};
}

}  // namespace

WeightGather::WeightGather(Collective& collective, Parameters& parameters, const ShardPlan& plan)
    : collective_(collective), parameters_(parameters) {
  const std::span<const Parameter> list = parameters.list();
  const bool narrow = parameters.compute_type() != DType::kF32;
  for (size_t i = plan.buckets.size(); i-- > 0;) {
    for (const Slice& slice : plan.buckets[i].slices) {
      for (size_t p = 0; p < list.size(); ++p) {
        const int64_t next =
            p + 1 < list.size() ? list[p + 1].offset : parameters.flat_master().shape.count();
        const Slice part{std::max(slice.begin, list[p].offset), std::min(slice.end, next),
                         slice.owner};
        if (part.count() <= 0) continue;
        append(narrow && list[p].kind == ParameterKind::kMatrix ? copies_ : masters_, part);
      }
    }
  }
}

void WeightGather::share(ops::TrainContext& ctx, std::string_view what) {
  if (collective_.size() == 1) return;
  if (!copies_.empty()) {
    collective_.all_gather(bytes_of(parameters_.flat_copy()), in_bytes(copies_, DType::kBF16),
                           what);
  }
  collective_.all_gather(bytes_of(parameters_.flat_master()), in_bytes(masters_, DType::kF32),
                         what);
  for (const Slice& slice : masters_) {
    if (slice.owner != collective_.rank()) parameters_.refresh(ctx, slice.begin, slice.end);
  }
}

void WeightGather::release_others() {
  for (const Slice& slice : copies_) {
    if (slice.owner != collective_.rank()) parameters_.release_master(slice.begin, slice.end);
  }
}

void WeightGather::gather_all(std::string_view what) {
  collective_.all_gather(bytes_of(parameters_.flat_master()), in_bytes(copies_, DType::kF32), what);
}

}  // namespace hearth::train
