// The driver of attention(): who computes which query vectors against which part of the sequence.
//
// The query heads that share a kv head, of several rows of a prompt, form a strip of query vectors:
//
//   strip of kv head h:  row 0 heads h*g .. h*g+g-1 | row 1 heads h*g .. | ...      (g = group)
//
// A task is a strip against a range of spans. Within it each chunk of keys and values, at home in
// the second-level cache, meets all vectors of the strip before the next chunk. When there are
// fewer strips than threads can use (one long sequence generating), spans become tasks of their own
// and are merged afterwards; the arithmetic is the same either way.
#include "backend/cpu/attention.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/parallel.h"

namespace hearth::backend::cpu {
namespace {

constexpr int64_t kBlock = ops::kKvBlockTokens;
// Query vectors of a strip: a chunk is read from memory once for all of them.
constexpr int64_t kStripVectors = 96;
// Multiplications below which one thread does it all.
constexpr int64_t kParallelWorkMin = 256 * 1024;

struct Problem {
  const TensorView& q;
  const ops::KvPages& pages;
  const ops::Attention& attention;
  const TensorView& out;
  const RowKernels& rows;
  const AttentionTiles& tiles;
  const AttentionTiles::Chunk* chunks;  // those of the pages' type
  int64_t page_bytes;                   // of one kv head
  int64_t group;                        // query heads of a kv head
  int64_t stride;                       // head_dim, rounded up to a whole vector

  // Positions that a row at `position` sees are [first_seen(position), position].
  int64_t first_seen(int64_t position) const {
    return attention.window == 0 ? 0 : std::max<int64_t>(0, position + 1 - attention.window);
  }
};

// Query vectors [begin, end) of a sequence and kv head, counted row by row.
struct Strip {
  const ops::KvSequence* sequence;
  int64_t kv_head;
  int64_t begin, end;
  int64_t spans_begin, spans_end;  // spans of the sequence that any of them sees

  int64_t vectors() const { return end - begin; }
};

// What a thread needs for one strip.
struct Scratch {
  float* q;
  float* span_out;  // of one span
  float* out;       // of the spans so far
  SoftmaxState* span_state;
  SoftmaxState* state;
};

Scratch make_scratch(ops::Arena& arena, int64_t stride) {
  const auto floats = [&] {
    return arena.tensor(DType::kF32, {kStripVectors, stride}).as<float>();
  };
  const auto states = [&] {
    return static_cast<SoftmaxState*>(arena.allocate(kStripVectors * sizeof(SoftmaxState)));
  };
  return {floats(), floats(), floats(), states(), states()};
}

int64_t position_of(const Problem& p, const Strip& strip, int64_t vector) {
  return strip.sequence->position + vector / p.group;
}

// The head of q or out that belongs to a query vector.
float* head_of(const Problem& p, const TensorView& t, const Strip& strip, int64_t vector) {
  const int64_t head = strip.kv_head * p.group + vector % p.group;
  return t.row<float>(strip.sequence->row + vector / p.group) + head * p.pages.head_dim;
}

void load_queries(const Problem& p, const Strip& strip, float* q) {
  const auto scaled_copy = p.rows.widen[static_cast<size_t>(ops::WeightFormat::kF32)];
  for (int64_t i = 0; i < strip.vectors(); ++i) {
    scaled_copy(head_of(p, p.q, strip, strip.begin + i), p.attention.scale, q + i * p.stride,
                p.pages.head_dim);
  }
}

void store_output(const Problem& p, const Strip& strip, const float* out,
                  const SoftmaxState* state) {
  const auto scaled_copy = p.rows.widen[static_cast<size_t>(ops::WeightFormat::kF32)];
  for (int64_t i = 0; i < strip.vectors(); ++i) {
    scaled_copy(out + i * p.stride, 1.0f / state[i].total,
                head_of(p, p.out, strip, strip.begin + i), p.pages.head_dim);
  }
}

void clear(int64_t vectors, int64_t stride, float* out, SoftmaxState* state) {
  std::fill_n(out, vectors * stride, 0.0f);
  std::fill_n(state, vectors, SoftmaxState{-std::numeric_limits<float>::infinity(), 0.0f});
}

// The pages of the chunk that starts at `token`. Blocks past `last` are never looked at; they
// repeat the first, so that whole chunks may be read.
ChunkPages find_pages(const Problem& p, const Strip& strip, int64_t token, int64_t last) {
  ChunkPages pages;
  for (int64_t b = 0; b < kChunkBlocks; ++b) {
    const int64_t at = token + b * kBlock <= last ? token / kBlock + b : token / kBlock;
    const int64_t offset =
        (strip.sequence->blocks[at] * p.pages.kv_heads + strip.kv_head) * p.page_bytes;
    pages.keys[b] = static_cast<const char*>(p.pages.keys.data) + offset;
    pages.values[b] = static_cast<const char*>(p.pages.values.data) + offset;
  }
  return pages;
}

// Vectors [from, to) of the strip against the chunk that starts at `token`, in one tile.
void run_tile(const Problem& p, const Strip& strip, int64_t token, int64_t from, int64_t to,
              const Scratch& s, AttentionChunk& chunk) {
  chunk.tokens = 0;
  for (int64_t i = from; i < to; ++i) {
    const int64_t position = position_of(p, strip, strip.begin + i);
    const int64_t begin = std::max<int64_t>(0, p.first_seen(position) - token);
    const int64_t end = std::clamp<int64_t>(position + 1 - token, 0, kChunkTokens);
    chunk.begin[i - from] = static_cast<int32_t>(std::min(begin, kChunkTokens));
    chunk.end[i - from] = static_cast<int32_t>(end);
    if (begin < end) chunk.tokens = std::max(chunk.tokens, static_cast<int32_t>(end));
  }
  if (chunk.tokens == 0) return;
  chunk.q = s.q + from * p.stride;
  chunk.out = s.span_out + from * p.stride;
  chunk.state = s.span_state + from;
  p.chunks[to - from - 1](chunk);
}

// The whole strip against one span; the result is in span_out and span_state.
void run_span(const Problem& p, const Strip& strip, int64_t span, const Scratch& s) {
  const int64_t vectors = strip.vectors();
  clear(vectors, p.stride, s.span_out, s.span_state);
  const int64_t last = position_of(p, strip, strip.end - 1);
  const int64_t first = p.first_seen(position_of(p, strip, strip.begin));
  const int64_t end = std::min((span + 1) * kSpanTokens, last + 1);
  const int64_t begin = std::max(span * kSpanTokens, first / kChunkTokens * kChunkTokens);
  const int64_t tiles = divide_up(vectors, kAttentionRowsMax);
  AttentionChunk chunk;
  chunk.stride = p.stride;
  chunk.head_dim = p.pages.head_dim;
  chunk.softcap = p.attention.softcap;
  ChunkPages next = find_pages(p, strip, begin, last);
  for (int64_t token = begin; token < end; token += kChunkTokens) {
    chunk.pages = next;
    const bool more = token + kChunkTokens <= last;
    if (more) next = find_pages(p, strip, token + kChunkTokens, last);
    for (int64_t i = 0; i < tiles; ++i) {
      chunk.next = more && i == 0 ? &next : nullptr;
      run_tile(p, strip, token, vectors * i / tiles, vectors * (i + 1) / tiles, s, chunk);
    }
  }
}

void merge_span(const Problem& p, int64_t vectors, const SoftmaxState* span_state,
                const float* span_out, SoftmaxState* state, float* out) {
  for (int64_t i = 0; i < vectors; ++i) {
    p.tiles.merge(span_state[i], span_out + i * p.stride, p.stride, state[i], out + i * p.stride);
  }
}

void run_strip(const Problem& p, const Strip& strip, const Scratch& s) {
  load_queries(p, strip, s.q);
  clear(strip.vectors(), p.stride, s.out, s.state);
  for (int64_t span = strip.spans_begin; span < strip.spans_end; ++span) {
    run_span(p, strip, span, s);
    merge_span(p, strip.vectors(), s.span_state, s.span_out, s.state, s.out);
  }
  store_output(p, strip, s.out, s.state);
}

// Later strips of a prompt see more and cost more: they come first, so that the last task to be
// taken is a small one.
std::vector<Strip> make_strips(const Problem& p, std::span<const ops::KvSequence> sequences) {
  std::vector<Strip> strips;
  for (const ops::KvSequence& sequence : sequences) {
    const int64_t vectors = sequence.count * p.group;
    for (int64_t end = vectors; end > 0;) {
      const int64_t begin = std::max<int64_t>(0, (end - 1) / kStripVectors * kStripVectors);
      Strip strip{&sequence, 0, begin, end, 0, 0};
      strip.spans_begin = p.first_seen(position_of(p, strip, begin)) / kSpanTokens;
      strip.spans_end = position_of(p, strip, end - 1) / kSpanTokens + 1;
      for (strip.kv_head = 0; strip.kv_head < p.pages.kv_heads; ++strip.kv_head) {
        strips.push_back(strip);
      }
      end = begin;
    }
  }
  return strips;
}

void run_strips(ops::Context& ctx, const Problem& p, const std::vector<Strip>& strips) {
  std::vector<Scratch> scratch;
  for (int i = 0; i < ctx.workers.count(); ++i) {
    scratch.push_back(make_scratch(ctx.arena, p.stride));
  }
  ctx.workers.run(static_cast<int64_t>(strips.size()), [&](int64_t task, int worker) {
    run_strip(p, strips[static_cast<size_t>(task)], scratch[static_cast<size_t>(worker)]);
  });
}

// Every span of every strip is a task that keeps its result; then strips merge theirs in order.
void run_spans(ops::Context& ctx, const Problem& p, const std::vector<Strip>& strips) {
  struct Piece {
    const Strip* strip;
    int64_t span;
    Scratch result;
  };
  std::vector<Piece> pieces;
  for (const Strip& strip : strips) {
    Scratch s = make_scratch(ctx.arena, p.stride);
    load_queries(p, strip, s.q);
    clear(strip.vectors(), p.stride, s.out, s.state);
    for (int64_t span = strip.spans_begin; span < strip.spans_end; ++span) {
      s.span_out = ctx.arena.tensor(DType::kF32, {strip.vectors(), p.stride}).as<float>();
      s.span_state = static_cast<SoftmaxState*>(
          ctx.arena.allocate(static_cast<size_t>(strip.vectors()) * sizeof(SoftmaxState)));
      pieces.push_back({&strip, span, s});
    }
  }
  ctx.workers.run(static_cast<int64_t>(pieces.size()), [&](int64_t task, int) {
    const Piece& piece = pieces[static_cast<size_t>(task)];
    run_span(p, *piece.strip, piece.span, piece.result);
  });
  for (const Piece& piece : pieces) {
    const Strip& strip = *piece.strip;
    merge_span(p, strip.vectors(), piece.result.span_state, piece.result.span_out,
               piece.result.state, piece.result.out);
    if (piece.span + 1 == strip.spans_end) {
      store_output(p, strip, piece.result.out, piece.result.state);
    }
  }
}

const AttentionTiles::Chunk* chunks_of(const AttentionTiles& tiles, DType dtype) {
  switch (dtype) {
    case DType::kI8:
      return tiles.i8;
    case DType::kF16:
      return tiles.f16;
    case DType::kBF16:
      return tiles.bf16;
    default:
      return tiles.f32;
  }
}

}  // namespace

void attention_tiled(ops::Context& ctx, TensorView q, std::span<const ops::KvSequence> sequences,
                     const ops::KvPages& pages, const ops::Attention& attention, TensorView out) {
  ops::ArenaScope scope(ctx.arena);
  const CpuKernels& kernels = cpu_kernels(ctx);
  const auto element_bytes = static_cast<int64_t>(dtype_bytes(pages.keys.dtype));
  const Problem p{q,
                  pages,
                  attention,
                  out,
                  *kernels.rows,
                  kernels.attention_tiles,
                  chunks_of(kernels.attention_tiles, pages.keys.dtype),
                  ops::kv_page_elements(pages.keys.dtype, pages.head_dim) * element_bytes,
                  q.shape[1] / pages.kv_heads,
                  round_up(pages.head_dim, 16)};
  const std::vector<Strip> strips = make_strips(p, sequences);
  int64_t work = 0, spans = 0;
  for (const Strip& strip : strips) {
    work += strip.vectors() * (strip.spans_end - strip.spans_begin) * kSpanTokens * p.stride;
    spans += strip.spans_end - strip.spans_begin;
  }
  const auto count = static_cast<int64_t>(strips.size());
  const int threads = ctx.workers.count();
  if (threads == 1 || work < kParallelWorkMin) {
    const Scratch scratch = make_scratch(ctx.arena, p.stride);
    for (const Strip& strip : strips) run_strip(p, strip, scratch);
  } else if (count < 4 * threads && spans > count) {
    run_spans(ctx, p, strips);
  } else {
    run_strips(ctx, p, strips);
  }
}

}  // namespace hearth::backend::cpu
