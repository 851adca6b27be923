#include "runner/cpu_runner.h"

#include <algorithm>
#include <exception>

#include "base/check.h"
#include "ops/elementwise.h"

namespace hearth::runner {

static_assert(ops::kKvBlockTokens == engine::kBlockTokens, "pages and blocks are one thing");

using engine::Pooling;
using engine::SequenceResult;
using engine::StepPlan;
using engine::StepResult;
using engine::StepSequence;
using engine::Want;

DType kv_dtype(const CpuRunnerOptions& options, const models::ModelInfo& info) {
  return options.kv_dtype.value_or(info.dtype == DType::kF32 ? DType::kF32 : DType::kBF16);
}

CpuRunner::CpuRunner(const models::Model& model, const CpuRunnerOptions& options,
                     const ops::Context& context, adapters::AdapterStore* store)
    : model_(model),
      options_(options),
      ctx_(context),
      store_(store),
      kv_(model.info, options.num_blocks, kv_dtype(options, model.info)),
      slots_(static_cast<size_t>(options.max_num_seqs)),
      scratch_(static_cast<size_t>(context.workers.count())) {}

StepResult CpuRunner::run(const StepPlan& plan) {
  CHECK(plan.tokens <= options_.max_num_batched_tokens, "{} rows of {}", plan.tokens,
        options_.max_num_batched_tokens);
  for (const engine::AdapterOrder& order : plan.adapters) obey(order);
  ctx_.arena.reset();
  for (const engine::BlockCopy& copy : plan.copies) {
    for (const ops::KvPages& pages : kv_.cache().layers) {
      ops::kv_copy_block(ctx_, pages, copy.from, copy.to);
    }
  }
  StepResult result;
  result.sequences.resize(plan.sequences.size());
  if (plan.tokens == 0) return result;
  pack(plan);
  nn::Pass pass{ctx_, tokens_, positions_, sequences_, kv_.cache()};
  if (!batch_.empty()) pass.low_rank = &batch_;
  const TensorView hidden = model_.forward(pass);
  rows_.clear();
  for (size_t i = 0; i < plan.sequences.size(); ++i) {
    const StepSequence& sequence = plan.sequences[i];
    const int32_t row = sequences_[i].row;
    pool(sequence, hidden.slice_rows(row, row + sequence.count), result.sequences[i]);
    add_logits_rows(sequence, static_cast<int32_t>(i), row, result.sequences[i]);
  }
  choose(plan, hidden, result);
  return result;
}

void CpuRunner::obey(const engine::AdapterOrder& order) {
  CHECK(store_ != nullptr, "adapter {} is ordered and there is no store", order.adapter);
  switch (order.kind) {
    case engine::AdapterOrder::Kind::kEvict:
      return store_->evict(order.adapter);
    case engine::AdapterOrder::Kind::kLoad:
      return store_->load(order.adapter, order.pages);
    case engine::AdapterOrder::Kind::kForget:
      return store_->close(order.adapter);
  }
}

void CpuRunner::pack(const StepPlan& plan) {
  batch_.clear();
  tokens_.clear();
  positions_.clear();
  sequences_.clear();
  for (const StepSequence& s : plan.sequences) {
    CHECK(s.slot >= 0 && s.slot < options_.max_num_seqs, "slot {}", s.slot);
    const size_t end = static_cast<size_t>(s.computed) + static_cast<size_t>(s.count);
    CHECK(end <= s.tokens.size() && end <= s.blocks.size() * engine::kBlockTokens,
          "{} tokens and {} blocks for {} positions", s.tokens.size(), s.blocks.size(), end);
    if (s.fresh) {
      Slot& slot = slots_[static_cast<size_t>(s.slot)];
      slot.counts.clear();
      slot.pooled.clear();
    }
    if (s.adapter != engine::kBaseModel) {
      CHECK(store_ != nullptr, "adapter {} is in the plan and there is no store", s.adapter);
      if (!batch_.has(s.adapter)) batch_.join(s.adapter, store_->packed(s.adapter));
      batch_.add_rows(s.adapter, static_cast<int32_t>(tokens_.size()), s.count);
    }
    sequences_.push_back(
        {static_cast<int32_t>(tokens_.size()), s.count, s.computed, s.blocks.data()});
    for (int32_t position = s.computed; position < s.computed + s.count; ++position) {
      tokens_.push_back(s.tokens[static_cast<size_t>(position)]);
      positions_.push_back(position);
    }
  }
}

void CpuRunner::add_logits_rows(const StepSequence& s, int32_t index, int32_t row,
                                SequenceResult& result) {
  const bool scored = s.sampling != nullptr && s.sampling->prompt_logprobs >= 0 && s.choice == 0;
  const int32_t scores =
      scored ? std::clamp(s.prompt_tokens - 1 - s.computed, int32_t{0}, s.count) : 0;
  result.prompt.resize(static_cast<size_t>(scores));
  for (int32_t i = 0; i < scores; ++i) rows_.push_back({row + i, index, i});
  if (s.want == Want::kToken) rows_.push_back({row + s.count - 1, index, -1});
}

void CpuRunner::pool(const StepSequence& s, TensorView hidden, SequenceResult& result) {
  if (s.pooling == Pooling::kNone) return;
  std::vector<double>& state = slots_[static_cast<size_t>(s.slot)].pooled;
  state.resize(static_cast<size_t>(hidden.cols()));
  for (int32_t i = 0; i < s.count; ++i) {
    const float* row = hidden.row<float>(i);
    const bool starts = s.pooling == Pooling::kLast || s.computed + i == 0;
    if (s.pooling == Pooling::kFirst && !starts) continue;
    for (size_t c = 0; c < state.size(); ++c) state[c] = row[c] + (starts ? 0 : state[c]);
  }
  if (s.want != Want::kPooled) return;
  const double divisor = s.pooling == Pooling::kMean ? s.computed + s.count : 1;
  for (double value : state) result.pooled.push_back(static_cast<float>(value / divisor));
}

void CpuRunner::choose(const StepPlan& plan, TensorView hidden, StepResult& result) {
  const int64_t row_bytes = model_.info.vocabulary * static_cast<int64_t>(sizeof(float));
  const size_t group =
      static_cast<size_t>(std::max(int64_t{1}, options_.logits_bytes_max / row_bytes));
  for (size_t begin = 0; begin < rows_.size(); begin += group) {
    const ops::ArenaScope temporaries(ctx_.arena);
    const auto rows = std::span(rows_).subspan(begin, std::min(group, rows_.size() - begin));
    std::vector<int32_t> picked;
    for (const LogitsRow& row : rows) picked.push_back(row.row);
    const int64_t count = static_cast<int64_t>(picked.size());
    const TensorView inputs = ctx_.arena.tensor(DType::kF32, {count, hidden.cols()});
    ops::gather_rows(ctx_, hidden, picked, inputs);
    const TensorView logits = model_.logits(ctx_, inputs);
    ctx_.workers.run(count, [&](int64_t task, int worker) {
      const LogitsRow& row = rows[static_cast<size_t>(task)];
      finish_row(plan, row, {logits.row<float>(task), static_cast<size_t>(logits.cols())},
                 scratch_[static_cast<size_t>(worker)],
                 result.sequences[static_cast<size_t>(row.sequence)]);
    });
  }
}

void CpuRunner::finish_row(const StepPlan& plan, const LogitsRow& row, std::span<float> logits,
                           SamplerScratch& scratch, SequenceResult& result) {
  const StepSequence& s = plan.sequences[static_cast<size_t>(row.sequence)];
  if (row.prompt >= 0) {
    const size_t next = static_cast<size_t>(s.computed + row.prompt + 1);
    result.prompt[static_cast<size_t>(row.prompt)] =
        score(logits, s.tokens[next], s.sampling->prompt_logprobs, scratch);
    return;
  }
  // A constraint is foreign code; what it throws ends its own sequence and no other.
  try {
    SampleOutcome outcome =
        sample({logits, s.tokens, s.prompt_tokens, *s.sampling, s.constraint, s.banned},
               slots_[static_cast<size_t>(s.slot)].counts, scratch);
    result.error = std::move(outcome.error);
    if (result.error.empty()) result.sampled.push_back(std::move(outcome.token));
  } catch (const std::exception& error) {
    result.error = error.what();
  }
}

}  // namespace hearth::runner
