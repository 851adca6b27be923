// Attention for training: blocks of query rows against blocks of keys, products by the tile of
// gemm_tile.h, softmax online. A task owns one document and one key/value head, so no two tasks
// write the same gradient.
//
// Per document of n tokens, head_dim d (all in the task's own scratch):
//   key blocks    Kᵀ [d x keys]  packed for q·k      V, K [keys x d]  packed for p·v, ds·k
//   query blocks  Q, dO rows; and packed [rows x d] for dsᵀ·q, pᵀ·dO in the backward pass
#pragma once

#include <cmath>

#include "backend/cpu/internal/gemm_tile.h"
#include "backend/cpu/internal/soft_cap_backward.h"
#include "ops/attention_backward.h"

namespace hearth::backend::cpu {
namespace {

constexpr int64_t kQueryBlock = 4 * kTileRows;
constexpr int64_t kKeyBlock = 128;

// Hands out pieces of one worker's scratch. With no memory it only counts.
class Carver {
 public:
  explicit Carver(char* base) : base_(base) {}
  template <typename T>
  T* take(int64_t count) {
    char* at = base_ == nullptr ? nullptr : base_ + used_;
    used_ += panels_of(count * static_cast<int64_t>(sizeof(T)), 64) * 64;
    return reinterpret_cast<T*>(at);
  }
  int64_t used() const { return used_; }

 private:
  char* base_;
  int64_t used_ = 0;
};

// One head of one document as contiguous rows of E.
template <typename E>
inline void gather_head(const TensorView& x, const ops::Segment& segment, int64_t head, E* out) {
  const int64_t d = x.shape[2];
  with_element(x.dtype, [&](auto element) {
    using T = decltype(element);
    for (int64_t t = 0; t < segment.count; ++t) {
      const T* row = static_cast<const T*>(x.data) + (segment.begin + t) * x.row_stride + head * d;
      for (int64_t i = 0; i < d; ++i) out[t * d + i] = from_float<E>(to_float(row[i]));
    }
  });
}

inline void scatter_head(const float* rows, const ops::Segment& segment, int64_t head,
                         const TensorView& x) {
  const int64_t d = x.shape[2];
  with_element(x.dtype, [&](auto element) {
    using T = decltype(element);
    for (int64_t t = 0; t < segment.count; ++t) {
      T* row = static_cast<T*>(x.data) + (segment.begin + t) * x.row_stride + head * d;
      for (int64_t i = 0; i < d; ++i) row[i] = from_float<T>(rows[t * d + i]);
    }
  });
}

enum class PackAs { kTransposed, kDirect };

// Packs rows [n, d] as the right-hand side of products, block by block of `block` rows:
// kTransposed for x · rowsᵀ (depth d), kDirect for x · rows (depth = rows).
template <typename E>
struct PackedBlocks {
  E* data = nullptr;
  int64_t each = 0;  // elements of one block

  void reserve(Carver& carver, int64_t n, int64_t d, int64_t block, PackAs as) {
    each = as == PackAs::kTransposed ? packed_elements<E>(block, kTileCols, d)
                                     : packed_elements<E>(d, kTileCols, block);
    data = carver.take<E>(each * panels_of(n, block));
  }
  void pack(const E* rows, int64_t n, int64_t d, int64_t block, PackAs as) {
    for (int64_t begin = 0; begin < n; begin += block) {
      const int64_t count = least(block, n - begin);
      const bool transposed = as == PackAs::kTransposed;
      const int64_t lanes = transposed ? count : d;
      const int64_t depth = transposed ? d : count;
      E* out = data + begin / block * each;
      const int64_t panel = units_of<E>(depth) * kTileCols * kPair<E>;
      for (int64_t lane = 0; lane < lanes; lane += kTileCols) {
        pack_panel<kTileCols>(PackSource<E>{rows + begin * d, d, transposed}, lane, lanes, depth,
                              out + lane / kTileCols * panel);
      }
    }
  }
  const E* block(int64_t index) const { return data + index * each; }
};

// Which keys of a block a row sees: [first, end) of it.
struct Seen {
  int64_t first = 0;
  int64_t end = 0;
  bool none() const { return end <= first; }
};

// Of the block of keys [begin, begin + keys). window 0: all keys before the row.
inline Seen visible(int64_t row, int64_t window, int64_t begin, int64_t keys) {
  const int64_t before = row + 1 - begin;
  const int64_t hidden = window > 0 ? before - window : 0;
  return {hidden > 0 ? hidden : 0, before < 0 ? 0 : least(before, keys)};
}

// The first key that a block of rows from `row` on may see.
inline int64_t first_key(int64_t row, int64_t window) {
  const int64_t first = window > 0 ? row + 1 - window : 0;
  return first > 0 ? first / kKeyBlock * kKeyBlock : 0;
}

// Products become scores: scaled, and capped where the model caps.
inline void scale_scores(float* scores, Seen seen, const ops::AttentionSave& args) {
  const float scale = args.scale;
  for (int64_t i = seen.first; i < seen.end; ++i) scores[i] *= scale;
  if (args.softcap == 0.0f) return;
  const float twice_unit = 2.0f / args.softcap;
  for (int64_t i = seen.first; i < seen.end; ++i) {
    scores[i] = soft_capped(scores[i], args.softcap, twice_unit);
  }
}

template <typename E>
inline void clear(E* x, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) x[i] = E{};
}

inline int64_t even(int64_t n) { return n + n % 2; }

template <typename E>
struct ForwardScratch {
  E* q = nullptr;
  E* kv = nullptr;
  PackedBlocks<E> keys, values;
  float* scores = nullptr;
  E* weights = nullptr;   // p of a block
  float* sums = nullptr;  // rows of the output, f32
  float* peak = nullptr;
  float* total = nullptr;
  E* spare = nullptr;

  void reserve(Carver& c, int64_t n, int64_t d) {
    q = c.take<E>(n * d);
    kv = c.take<E>(n * d);
    keys.reserve(c, n, d, kKeyBlock, PackAs::kTransposed);
    values.reserve(c, n, d, kKeyBlock, PackAs::kDirect);
    scores = c.take<float>(kQueryBlock * kKeyBlock);
    weights = c.take<E>(kQueryBlock * kKeyBlock);
    sums = c.take<float>(kQueryBlock * d);
    peak = c.take<float>(kQueryBlock);
    total = c.take<float>(kQueryBlock);
    spare = c.take<E>(packed_elements<E>(kTileRows, kTileRows, d > kKeyBlock ? d : kKeyBlock));
  }
};

// One row of one block of scores becomes weights exp(score - peak); the row's earlier sums shrink
// when the peak rises.
template <typename E>
inline void soften_row(const float* row, Seen seen, int64_t keys, float* peak, float* total,
                       float* sums, int64_t d, E* weights) {
  const float* scores = row + seen.first;
  const int64_t count = seen.end - seen.first;
  const float best = max_of(scores, count);
  const float top = best > *peak ? best : *peak;
  const float shrink = exp_fast(*peak - top);
  *total = *total * shrink + sum_over(count, [&](int64_t i) { return exp_fast(scores[i] - top); });
  clear(weights, 0, seen.first);
  for (int64_t i = seen.first; i < seen.end; ++i) {
    weights[i] = from_float<E>(exp_fast(row[i] - top));
  }
  clear(weights, seen.end, even(keys));
  if (shrink != 1.0f) {
    for (int64_t i = 0; i < d; ++i) sums[i] *= shrink;
  }
  *peak = top;
}

template <typename E>
void attention_forward_block(const ops::AttentionSave& args, const ops::Segment& segment,
                             int64_t begin, ForwardScratch<E>& s) {
  const int64_t d = args.q.shape[2];
  const int64_t rows = least(kQueryBlock, segment.count - begin);
  for (int64_t i = 0; i < rows * d; ++i) s.sums[i] = 0;
  for (int64_t i = 0; i < rows; ++i) {
    s.peak[i] = -1.0e30f;
    s.total[i] = 0;
  }
  for (int64_t key = first_key(begin, args.window); key < begin + rows; key += kKeyBlock) {
    const int64_t keys = least(kKeyBlock, segment.count - key);
    multiply_block<E>({.rows = rows,
                       .cols = keys,
                       .k = d,
                       .a = s.q + begin * d,
                       .a_stride = d,
                       .b_packed = s.keys.block(key / kKeyBlock),
                       .spare = s.spare,
                       .c = s.scores,
                       .c_stride = kKeyBlock});
    for (int64_t r = 0; r < rows; ++r) {
      const Seen seen = visible(begin + r, args.window, key, keys);
      E* weights = s.weights + r * kKeyBlock;
      if (seen.none()) {
        clear(weights, 0, even(keys));
        continue;
      }
      scale_scores(s.scores + r * kKeyBlock, seen, args);
      soften_row(s.scores + r * kKeyBlock, seen, keys, s.peak + r, s.total + r, s.sums + r * d, d,
                 weights);
    }
    multiply_block<E>({.rows = rows,
                       .cols = d,
                       .k = keys,
                       .a = s.weights,
                       .a_stride = kKeyBlock,
                       .b_packed = s.values.block(key / kKeyBlock),
                       .spare = s.spare,
                       .c = s.sums,
                       .c_stride = d,
                       .add = true});
  }
}

template <typename E>
void attention_forward(ops::TrainContext& ctx, const ops::AttentionSave& args) {
  const int64_t d = args.q.shape[2];
  const int64_t kv_heads = args.k.shape[1];
  const int64_t group = args.q.shape[1] / kv_heads;
  int64_t longest = 0;
  for (const auto& segment : args.segments)
    longest = segment.count > longest ? segment.count : longest;
  Carver size(nullptr);
  ForwardScratch<E>{}.reserve(size, longest, d);
  char* memory = static_cast<char*>(
      ctx.scratch.reserve(static_cast<size_t>(size.used() * ctx.workers.count())));
  const auto tasks = static_cast<int64_t>(args.segments.size()) * kv_heads;
  ctx.workers.run(tasks, [&](int64_t task, int worker) {
    const ops::Segment& segment = args.segments[static_cast<size_t>(task / kv_heads)];
    const int64_t kv_head = task % kv_heads;
    Carver carver(memory + size.used() * worker);
    ForwardScratch<E> s;
    s.reserve(carver, longest, d);
    gather_head(args.k, segment, kv_head, s.kv);
    s.keys.pack(s.kv, segment.count, d, kKeyBlock, PackAs::kTransposed);
    gather_head(args.v, segment, kv_head, s.kv);
    s.values.pack(s.kv, segment.count, d, kKeyBlock, PackAs::kDirect);
    for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      gather_head(args.q, segment, head, s.q);
      for (int64_t begin = 0; begin < segment.count; begin += kQueryBlock) {
        attention_forward_block(args, segment, begin, s);
        const int64_t rows = least(kQueryBlock, segment.count - begin);
        for (int64_t r = 0; r < rows; ++r) {
          const float unit = 1.0f / s.total[r];
          for (int64_t i = 0; i < d; ++i) s.sums[r * d + i] *= unit;
          args.lse.row<float>(segment.begin + begin + r)[head] = s.peak[r] + std::log(s.total[r]);
        }
        scatter_head(s.sums,
                     {static_cast<int32_t>(segment.begin + begin), static_cast<int32_t>(rows)},
                     head, args.out);
      }
    }
  });
}

template <typename E>
struct BackwardScratch {
  E* rows = nullptr;  // k, then v
  E* q = nullptr;
  E* dout = nullptr;
  E* out = nullptr;
  PackedBlocks<E> keys_t, values_t, keys, queries, douts;
  float* dq = nullptr;
  float* dk = nullptr;
  float* dv = nullptr;
  float* dot = nullptr;  // Σ dO∘O of each row
  float* scores = nullptr;
  float* dweights = nullptr;
  E* weights = nullptr;
  E* dscores = nullptr;
  E* turned = nullptr;  // pᵀ or dsᵀ as packed rows
  E* spare = nullptr;

  void reserve(Carver& c, int64_t n, int64_t d) {
    rows = c.take<E>(n * d);
    q = c.take<E>(n * d);
    dout = c.take<E>(n * d);
    out = c.take<E>(n * d);
    keys_t.reserve(c, n, d, kKeyBlock, PackAs::kTransposed);
    values_t.reserve(c, n, d, kKeyBlock, PackAs::kTransposed);
    keys.reserve(c, n, d, kKeyBlock, PackAs::kDirect);
    queries.reserve(c, n, d, kQueryBlock, PackAs::kDirect);
    douts.reserve(c, n, d, kQueryBlock, PackAs::kDirect);
    dq = c.take<float>(n * d);
    dk = c.take<float>(n * d);
    dv = c.take<float>(n * d);
    dot = c.take<float>(n);
    scores = c.take<float>(kQueryBlock * kKeyBlock);
    dweights = c.take<float>(kQueryBlock * kKeyBlock);
    weights = c.take<E>(kQueryBlock * kKeyBlock);
    dscores = c.take<E>(kQueryBlock * kKeyBlock);
    turned = c.take<E>(packed_elements<E>(kKeyBlock, kTileRows, kQueryBlock));
    spare = c.take<E>(packed_elements<E>(kTileRows, kTileRows, d > kKeyBlock ? d : kKeyBlock));
  }
};

// c [keys, d] += xᵀ · block, where x is [rows, keys] with stride kKeyBlock.
template <typename E>
inline void add_transposed(const E* x, int64_t rows, int64_t keys, int64_t d, const E* block,
                           BackwardScratch<E>& s, float* c) {
  const int64_t panel = units_of<E>(rows) * kTileRows * kPair<E>;
  for (int64_t lane = 0; lane < keys; lane += kTileRows) {
    pack_panel<kTileRows>(PackSource<E>{x, kKeyBlock, false}, lane, keys, rows,
                          s.turned + lane / kTileRows * panel);
  }
  multiply_block<E>({.rows = keys,
                     .cols = d,
                     .k = rows,
                     .a_packed = s.turned,
                     .b_packed = block,
                     .c = c,
                     .c_stride = d,
                     .add = true});
}

// Weights and score gradients of one row of a block: p = exp(score - lse), ds = p∘(dp - dot)·scale,
// times the slope of the cap.
template <typename E>
inline void backward_row(const float* scores, const float* dweights, Seen seen, int64_t keys,
                         const ops::AttentionSave& args, float lse, float dot, E* weights,
                         E* dscores) {
  const float scale = args.scale;
  clear(weights, 0, seen.first);
  clear(dscores, 0, seen.first);
  const auto fill = [&](const auto& cap_slope) {
    for (int64_t i = seen.first; i < seen.end; ++i) {
      const float p = exp_fast(scores[i] - lse);
      weights[i] = from_float<E>(p);
      dscores[i] = from_float<E>(p * (dweights[i] - dot) * scale * cap_slope(scores[i]));
    }
  };
  if (args.softcap == 0.0f) {
    fill([](float) { return 1.0f; });
  } else {
    const float unit = 1.0f / args.softcap;
    fill([unit](float score) { return 1.0f - score * unit * (score * unit); });
  }
  clear(weights, seen.end, even(keys));
  clear(dscores, seen.end, even(keys));
}

template <typename E>
void attention_backward_block(const ops::AttentionSave& args, const ops::Segment& segment,
                              int64_t head, int64_t begin, int64_t key, BackwardScratch<E>& s) {
  const int64_t d = args.q.shape[2];
  const int64_t rows = least(kQueryBlock, segment.count - begin);
  const int64_t keys = least(kKeyBlock, segment.count - key);
  const int64_t key_block = key / kKeyBlock;
  const int64_t query_block = begin / kQueryBlock;
  multiply_block<E>({.rows = rows,
                     .cols = keys,
                     .k = d,
                     .a = s.q + begin * d,
                     .a_stride = d,
                     .b_packed = s.keys_t.block(key_block),
                     .spare = s.spare,
                     .c = s.scores,
                     .c_stride = kKeyBlock});
  multiply_block<E>({.rows = rows,
                     .cols = keys,
                     .k = d,
                     .a = s.dout + begin * d,
                     .a_stride = d,
                     .b_packed = s.values_t.block(key_block),
                     .spare = s.spare,
                     .c = s.dweights,
                     .c_stride = kKeyBlock});
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t at = r * kKeyBlock;
    const Seen whole = visible(begin + r, args.window, key, keys);
    const Seen seen = whole.none() ? Seen{} : whole;
    scale_scores(s.scores + at, seen, args);
    backward_row(s.scores + at, s.dweights + at, seen, keys, args,
                 args.lse.row<float>(segment.begin + begin + r)[head], s.dot[begin + r],
                 s.weights + at, s.dscores + at);
  }
  multiply_block<E>({.rows = rows,
                     .cols = d,
                     .k = keys,
                     .a = s.dscores,
                     .a_stride = kKeyBlock,
                     .b_packed = s.keys.block(key_block),
                     .spare = s.spare,
                     .c = s.dq + begin * d,
                     .c_stride = d,
                     .add = true});
  add_transposed(s.weights, rows, keys, d, s.douts.block(query_block), s, s.dv + key * d);
  add_transposed(s.dscores, rows, keys, d, s.queries.block(query_block), s, s.dk + key * d);
}

template <typename E>
void attention_backward_head(const ops::AttentionBackward& args, const ops::Segment& segment,
                             int64_t head, BackwardScratch<E>& s) {
  const ops::AttentionSave& forward = args.forward;
  const int64_t d = forward.q.shape[2];
  const int64_t n = segment.count;
  gather_head(forward.q, segment, head, s.q);
  gather_head(args.dout, segment, head, s.dout);
  gather_head(forward.out, segment, head, s.out);
  s.queries.pack(s.q, n, d, kQueryBlock, PackAs::kDirect);
  s.douts.pack(s.dout, n, d, kQueryBlock, PackAs::kDirect);
  for (int64_t t = 0; t < n; ++t) {
    s.dot[t] = sum_over(
        d, [&](int64_t i) { return to_float(s.dout[t * d + i]) * to_float(s.out[t * d + i]); });
  }
  for (int64_t i = 0; i < n * d; ++i) s.dq[i] = 0;
  for (int64_t key = 0; key < n; key += kKeyBlock) {
    const int64_t last = forward.window > 0 ? least(n, key + kKeyBlock + forward.window - 1) : n;
    for (int64_t begin = key / kQueryBlock * kQueryBlock; begin < last; begin += kQueryBlock) {
      attention_backward_block(forward, segment, head, begin, key, s);
    }
  }
  scatter_head(s.dq, segment, head, args.dq);
}

template <typename E>
void attention_backward_all(ops::TrainContext& ctx, const ops::AttentionBackward& args) {
  const ops::AttentionSave& forward = args.forward;
  const int64_t d = forward.q.shape[2];
  const int64_t kv_heads = forward.k.shape[1];
  const int64_t group = forward.q.shape[1] / kv_heads;
  int64_t longest = 0;
  for (const auto& segment : forward.segments) {
    longest = segment.count > longest ? segment.count : longest;
  }
  Carver size(nullptr);
  BackwardScratch<E>{}.reserve(size, longest, d);
  char* memory = static_cast<char*>(
      ctx.scratch.reserve(static_cast<size_t>(size.used() * ctx.workers.count())));
  const auto tasks = static_cast<int64_t>(forward.segments.size()) * kv_heads;
  ctx.workers.run(tasks, [&](int64_t task, int worker) {
    const ops::Segment& segment = forward.segments[static_cast<size_t>(task / kv_heads)];
    const int64_t kv_head = task % kv_heads;
    Carver carver(memory + size.used() * worker);
    BackwardScratch<E> s;
    s.reserve(carver, longest, d);
    gather_head(forward.v, segment, kv_head, s.rows);
    s.values_t.pack(s.rows, segment.count, d, kKeyBlock, PackAs::kTransposed);
    gather_head(forward.k, segment, kv_head, s.rows);
    s.keys_t.pack(s.rows, segment.count, d, kKeyBlock, PackAs::kTransposed);
    s.keys.pack(s.rows, segment.count, d, kKeyBlock, PackAs::kDirect);
    for (int64_t i = 0; i < segment.count * d; ++i) s.dk[i] = s.dv[i] = 0;
    for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      attention_backward_head(args, segment, head, s);
    }
    scatter_head(s.dk, segment, kv_head, args.dk);
    scatter_head(s.dv, segment, kv_head, args.dv);
  });
}

void attention_save(ops::TrainContext& ctx, const ops::AttentionSave& args) {
  if constexpr (kMultipliesBf16) {
    if (args.q.dtype == DType::kBF16) return attention_forward<Bf16>(ctx, args);
  }
  attention_forward<float>(ctx, args);
}

void attention_backward(ops::TrainContext& ctx, const ops::AttentionBackward& args) {
  if constexpr (kMultipliesBf16) {
    if (args.forward.q.dtype == DType::kBF16) return attention_backward_all<Bf16>(ctx, args);
  }
  attention_backward_all<float>(ctx, args);
}

}  // namespace
}  // namespace hearth::backend::cpu
