#include "train/shard_plan.h"

#include <algorithm>

namespace hearth::train {
namespace {

class Planner {
 public:
  Planner(const Parameters& parameters, OptimizerKind optimizer, int ranks)
      : parameters_(parameters),
        optimizer_(optimizer),
        ranks_(ranks),
        matrix_load_(static_cast<size_t>(ranks), 0) {}

  // Parameters [first, last) as one bucket.
  Bucket bucket(size_t first, size_t last) {
    Bucket made{begin_of(first), begin_of(last), {}};
    int64_t stretch = made.begin;  // beginning of elements that may be cut anywhere
    for (size_t i = first; i < last; ++i) {
      if (!whole(i)) continue;
      cut_evenly(stretch, begin_of(i), made.slices);
      for (size_t piece = 0; piece < parameters_.list()[i].pieces.size(); ++piece) {
        add_piece(i, piece, made.slices);
      }
      stretch = begin_of(i + 1);
    }
    cut_evenly(stretch, made.end, made.slices);
    return made;
  }

 private:
  int64_t begin_of(size_t index) const {
    return index == parameters_.list().size() ? parameters_.flat_master().shape.count()
                                              : parameters_.list()[index].offset;
  }
  bool whole(size_t index) const {
    return optimizer_ == OptimizerKind::kMuon &&
           parameters_.list()[index].kind == ParameterKind::kMatrix;
  }
  void cut_evenly(int64_t begin, int64_t end, std::vector<Slice>& slices) const {
    const int64_t blocks = (end - begin) / kAlignElements;
    for (int rank = 0; rank < ranks_; ++rank) {
      const Slice slice{begin + blocks * rank / ranks_ * kAlignElements,
                        begin + blocks * (rank + 1) / ranks_ * kAlignElements, rank};
      if (slice.count() > 0) slices.push_back(slice);
    }
  }
  // To the rank that keeps the least of matrices so far. The last piece takes the padding along.
  void add_piece(size_t index, size_t at, std::vector<Slice>& slices) {
    const Parameter& p = parameters_.list()[index];
    const ParameterPiece& piece = p.pieces[at];
    const auto least = std::min_element(matrix_load_.begin(), matrix_load_.end());
    *least += piece.rows * p.cols;
    const int64_t begin = p.offset + piece.row_begin * p.cols;
    const bool last = at + 1 == p.pieces.size();
    slices.push_back({begin, last ? begin_of(index + 1) : begin + piece.rows * p.cols,
                      static_cast<int>(least - matrix_load_.begin())});
  }

  const Parameters& parameters_;
  OptimizerKind optimizer_;
  int ranks_;
  std::vector<int64_t> matrix_load_;
};

}  // namespace

std::vector<OwnedRange> ShardPlan::owned_by(int rank) const {
  std::vector<OwnedRange> owned;
  int64_t local = 0;
  for (size_t i = buckets.size(); i-- > 0;) {
    for (const Slice& slice : buckets[i].slices) {
      if (slice.owner != rank) continue;
      if (!owned.empty() && owned.back().end == slice.begin) {
        owned.back().end = slice.end;
      } else {
        owned.push_back({slice.begin, slice.end, local});
      }
      local += slice.count();
    }
  }
  return owned;
}

int64_t ShardPlan::local_begin(const Bucket& bucket, int rank) const {
  int64_t local = 0;
  for (const Bucket& other : buckets) {
    if (other.begin >= bucket.begin) continue;
    for (const Slice& slice : other.slices) local += slice.owner == rank ? slice.count() : 0;
  }
  return local;
}

ShardPlan make_shard_plan(const Parameters& parameters, OptimizerKind optimizer, int ranks,
                          int64_t bucket_bytes) {
  Planner planner(parameters, optimizer, ranks);
  ShardPlan plan;
  size_t last = parameters.list().size();
  int64_t bytes = 0;
  for (size_t first = last; first-- > 0;) {
    bytes += parameters.list()[first].count() * static_cast<int64_t>(sizeof(float));
    if (bytes < bucket_bytes && first > 0) continue;
    plan.buckets.push_back(planner.bucket(first, last));
    last = first;
    bytes = 0;
  }
  return plan;
}

}  // namespace hearth::train
