#include "runner/score.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"
#include "runner/cpu_runner.h"

namespace hearth::runner {
namespace {

constexpr int64_t kRows = 512;  // of a pass
constexpr int64_t kLogitsBytesMax = int64_t{64} << 20;

int32_t blocks_for(int64_t tokens) {
  return static_cast<int32_t>((tokens + ops::kKvBlockTokens - 1) / ops::kKvBlockTokens);
}

float loss_of(std::span<const float> logits, int32_t token, RowWeights& weights) {
  const float top = logits[argmax(logits)];
  weights.compute(logits, top, 1.0f);
  const double nats = std::log(weights.total()) + double{top} - double{logits[size_t(token)]};
  return static_cast<float>(nats);
}

}  // namespace

TextScorer::TextScorer(const models::Model& model, const ops::Context& ctx,
                       std::optional<DType> kv_type, int64_t tokens_max)
    : model_(model),
      ctx_(ctx),
      kv_(model.info, blocks_for(tokens_max), kv_dtype({.kv_dtype = kv_type}, model.info)),
      blocks_(static_cast<size_t>(blocks_for(tokens_max))),
      weights_(static_cast<size_t>(ctx.workers.count())) {
  std::iota(blocks_.begin(), blocks_.end(), 0);
}

std::vector<float> TextScorer::losses(std::span<const int32_t> tokens) {
  CHECK(tokens.size() >= 2 && blocks_for(std::ssize(tokens)) <= std::ssize(blocks_),
        "a text of {} tokens, room for {} blocks", tokens.size(), blocks_.size());
  std::vector<float> losses(tokens.size() - 1);
  const int64_t count = std::ssize(losses);
  for (int64_t begin = 0; begin < count; begin += kRows) {
    const auto from = static_cast<size_t>(begin);
    const auto rows = static_cast<size_t>(std::min(kRows, count - begin));
    std::vector<int32_t> positions(rows);
    std::iota(positions.begin(), positions.end(), static_cast<int32_t>(begin));
    const ops::KvSequence sequence{0, static_cast<int32_t>(rows), static_cast<int32_t>(begin),
                                   blocks_.data()};
    ctx_.arena.reset();
    nn::Pass pass{ctx_, tokens.subspan(from, rows), positions, {&sequence, 1}, kv_.cache()};
    add_losses(model_.forward(pass), tokens.subspan(from + 1, rows),
               std::span(losses).subspan(from, rows));
  }
  return losses;
}

void TextScorer::add_losses(TensorView hidden, std::span<const int32_t> next,
                            std::span<float> losses) {
  const int64_t row_bytes = model_.info.vocabulary * static_cast<int64_t>(sizeof(float));
  const int64_t group = std::max<int64_t>(1, kLogitsBytesMax / row_bytes);
  for (int64_t begin = 0; begin < hidden.rows(); begin += group) {
    const int64_t end = std::min(hidden.rows(), begin + group);
    const ops::ArenaScope temporaries(ctx_.arena);
    const TensorView logits = model_.logits(ctx_, hidden.slice_rows(begin, end));
    ctx_.workers.run(end - begin, [&](int64_t row, int worker) {
      const auto at = static_cast<size_t>(begin + row);
      const std::span<const float> all(logits.row<float>(row), static_cast<size_t>(logits.cols()));
      losses[at] = loss_of(all, next[at], weights_[static_cast<size_t>(worker)]);
    });
  }
}

}  // namespace hearth::runner
