// The specification of attention(): softmax(scale * q·k) · v for one row and head at a time, in
// double.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "backend/cpu/attention.h"
#include "tensor/dtype.h"

namespace hearth::backend::cpu {
namespace {

constexpr int64_t kBlock = ops::kKvBlockTokens;

// Element `index` of the page of token `slot` that begins at element `page`.
double element(const TensorView& pages, int64_t page, int64_t index, int64_t head_dim,
               int64_t slot) {
  switch (pages.dtype) {
    case DType::kF16:
      return double{f16_to_float(pages.as<uint16_t>()[page + index])};
    case DType::kBF16:
      return double{bf16_to_float(pages.as<uint16_t>()[page + index])};
    case DType::kI8: {
      const int8_t* levels = pages.as<int8_t>() + page;
      uint16_t scale = 0;
      std::memcpy(&scale, levels + head_dim * kBlock + slot * 2, sizeof(scale));
      return double{f16_to_float(scale)} * levels[index];
    }
    default:
      return double{pages.as<float>()[page + index]};
  }
}

struct Head {
  const ops::KvPages& pages;
  const ops::KvSequence& sequence;
  int64_t kv_head;

  double key(int64_t token, int64_t d) const {
    const int64_t slot = token % kBlock;
    return element(pages.keys, page(token), d * kBlock + slot, pages.head_dim, slot);
  }
  double value(int64_t token, int64_t d) const {
    const int64_t slot = token % kBlock;
    return element(pages.values, page(token), slot * pages.head_dim + d, pages.head_dim, slot);
  }

 private:
  // The first element of this head's page of the token's block.
  int64_t page(int64_t token) const {
    return (sequence.blocks[token / kBlock] * pages.kv_heads + kv_head) *
           ops::kv_page_elements(pages.keys.dtype, pages.head_dim);
  }
};

double score(const Head& head, const float* q, int64_t token, const ops::Attention& attention) {
  double sum = 0.0;
  for (int64_t d = 0; d < head.pages.head_dim; ++d) sum += double{q[d]} * head.key(token, d);
  sum *= double{attention.scale};
  if (attention.softcap == 0.0f) return sum;
  return double{attention.softcap} * std::tanh(sum / double{attention.softcap});
}

void attend(const Head& head, const float* q, int64_t position, const ops::Attention& attention,
            float* out) {
  const int64_t begin =
      attention.window == 0 ? 0 : std::max<int64_t>(0, position + 1 - attention.window);
  std::vector<double> weights;
  double highest = -std::numeric_limits<double>::infinity();
  for (int64_t token = begin; token <= position; ++token) {
    weights.push_back(score(head, q, token, attention));
    highest = std::max(highest, weights.back());
  }
  double total = 0.0;
  for (double& weight : weights) total += weight = std::exp(weight - highest);
  for (int64_t d = 0; d < head.pages.head_dim; ++d) {
    double sum = 0.0;
    for (int64_t token = begin; token <= position; ++token) {
      sum += weights[static_cast<size_t>(token - begin)] * head.value(token, d);
    }
    out[d] = static_cast<float>(sum / total);
  }
}

}  // namespace

void attention_reference(ops::Context& ctx, TensorView q,
                         std::span<const ops::KvSequence> sequences, const ops::KvPages& pages,
                         const ops::Attention& attention, TensorView out) {
  const int64_t heads = q.shape[1];
  for (const ops::KvSequence& sequence : sequences) {
    ctx.workers.run(sequence.count * heads, [&](int64_t task, int) {
      const int64_t i = task / heads, h = task % heads;
      const Head head{pages, sequence, h * pages.kv_heads / heads};
      const int64_t at = h * pages.head_dim;
      attend(head, q.row<float>(sequence.row + i) + at, sequence.position + i, attention,
             out.row<float>(sequence.row + i) + at);
    });
  }
}

}  // namespace hearth::backend::cpu
