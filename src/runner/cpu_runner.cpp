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

namespace {

struct StepStopped {};

// Lets go of a step between two parallel loops.
class StoppableWorkers final : public ops::Workers {
 public:
  StoppableWorkers(ops::Workers& workers, const std::function<bool()>& stop)
      : workers_(workers), stop_(stop) {}
  int count() const override { return workers_.count(); }
  void run(int64_t tasks, const std::function<void(int64_t task, int worker)>& body) override {
    if (stop_()) throw StepStopped();
    workers_.run(tasks, body);
  }

 private:
  ops::Workers& workers_;
  const std::function<bool()>& stop_;
};

}  // namespace

StepResult CpuRunner::run(const StepPlan& plan) { return compute(plan, ctx_); }

StepResult CpuRunner::run_idle(const StepPlan& plan, const std::function<bool()>& stop) {
  StoppableWorkers workers(ctx_.workers, stop);
  ops::Context stoppable{ctx_.kernels, workers, ctx_.arena};
  try {
    return compute(plan, stoppable);
  } catch (const StepStopped&) {
    return {.sequences = {}, .abandoned = true};
  }
}

StepResult CpuRunner::compute(const StepPlan& plan, ops::Context& forward) {
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
  nn::Pass pass{forward, tokens_, positions_, sequences_, kv_.cache()};
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
  engine::BlockId last = engine::kNoBlock;
  for (const StepSequence& s : plan.sequences) {
    if (!s.blocks.empty()) last = std::max(last, s.blocks.back());
    CHECK(s.slot >= 0 && s.slot < options_.max_num_seqs, "slot {}", s.slot);
    const size_t end = static_cast<size_t>(s.computed) + static_cast<size_t>(s.count);
    CHECK(end <= s.tokens.size() && end + s.guess.size() <= s.blocks.size() * engine::kBlockTokens,
          "{} tokens and {} blocks for {} positions and {} guesses", s.tokens.size(),
          s.blocks.size(), end, s.guess.size());
    if (s.fresh) {
      Slot& slot = slots_[static_cast<size_t>(s.slot)];
      slot.counts.clear();
      slot.pooled.clear();
    }
    const auto guessed = static_cast<int32_t>(s.guess.size());
    if (s.adapter != engine::kBaseModel) {
      CHECK(store_ != nullptr, "adapter {} is in the plan and there is no store", s.adapter);
      if (!batch_.has(s.adapter)) batch_.join(s.adapter, store_->packed(s.adapter));
      batch_.add_rows(s.adapter, static_cast<int32_t>(tokens_.size()), s.count + guessed);
    }
    sequences_.push_back(
        {static_cast<int32_t>(tokens_.size()), s.count + guessed, s.computed, s.blocks.data()});
    for (int32_t position = s.computed; position < s.computed + s.count; ++position) {
      tokens_.push_back(s.tokens[static_cast<size_t>(position)]);
      positions_.push_back(position);
    }
    tokens_.insert(tokens_.end(), s.guess.begin(), s.guess.end());
    for (int32_t i = 0; i < guessed; ++i) positions_.push_back(s.computed + s.count + i);
  }
  kv_.reach(last + 1);
}

void CpuRunner::add_logits_rows(const StepSequence& s, int32_t index, int32_t row,
                                SequenceResult& result) {
  const bool scored = s.sampling != nullptr && s.sampling->prompt_logprobs >= 0 && s.choice == 0;
  const int32_t scores =
      scored ? std::clamp(s.prompt_tokens - 1 - s.computed, int32_t{0}, s.count) : 0;
  result.prompt.resize(static_cast<size_t>(scores));
  for (int32_t i = 0; i < scores; ++i) rows_.push_back({row + i, 1, index, i});
  if (s.want != Want::kToken) return;
  rows_.push_back({row + s.count - 1, 1 + static_cast<int32_t>(s.guess.size()), index, -1});
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

std::span<const CpuRunner::LogitsRows> CpuRunner::next_group(
    std::span<const LogitsRows> rows) const {
  const int64_t row_bytes = model_.info.vocabulary * static_cast<int64_t>(sizeof(float));
  int64_t left = options_.logits_bytes_max / row_bytes - rows.front().count;
  size_t taken = 1;
  while (taken < rows.size() && rows[taken].count <= left) left -= rows[taken++].count;
  return rows.first(taken);
}

void CpuRunner::choose(const StepPlan& plan, TensorView hidden, StepResult& result) {
  for (std::span<const LogitsRows> left = rows_; !left.empty();) {
    const ops::ArenaScope temporaries(ctx_.arena);
    const auto group = next_group(left);
    left = left.subspan(group.size());
    std::vector<int32_t> picked;  // rows of the batch
    std::vector<int64_t> begins;  // of each of the group, in the logits
    for (const LogitsRows& rows : group) {
      begins.push_back(static_cast<int64_t>(picked.size()));
      for (int32_t i = 0; i < rows.count; ++i) picked.push_back(rows.row + i);
    }
    const int64_t count = static_cast<int64_t>(picked.size());
    const TensorView inputs = ctx_.arena.tensor(DType::kF32, {count, hidden.cols()});
    ops::gather_rows(ctx_, hidden, picked, inputs);
    const TensorView logits = model_.logits(ctx_, inputs);
    ctx_.workers.run(std::ssize(group), [&](int64_t task, int worker) {
      const LogitsRows& rows = group[static_cast<size_t>(task)];
      const int64_t begin = begins[static_cast<size_t>(task)];
      finish_rows(plan, rows, logits.slice_rows(begin, begin + rows.count),
                  scratch_[static_cast<size_t>(worker)],
                  result.sequences[static_cast<size_t>(rows.sequence)]);
    });
  }
}

void CpuRunner::finish_rows(const StepPlan& plan, const LogitsRows& rows, TensorView logits,
                            SamplerScratch& scratch, SequenceResult& result) {
  const StepSequence& s = plan.sequences[static_cast<size_t>(rows.sequence)];
  if (rows.prompt >= 0) {
    const size_t next = static_cast<size_t>(s.computed + rows.prompt + 1);
    const std::span<const float> row(logits.row<float>(0), static_cast<size_t>(logits.cols()));
    result.prompt[static_cast<size_t>(rows.prompt)] =
        score(row, s.tokens[next], s.sampling->prompt_logprobs, scratch);
    return;
  }
  // A constraint is foreign code; what it throws ends its own sequence and no other.
  try {
    choose_tokens(s, logits, scratch, result);
  } catch (const std::exception& error) {
    result.error = error.what();
  }
}

// Row after row, as long as the token that was chosen is the one that was guessed. An error after
// the first token is left to the next step, which meets it again.
void CpuRunner::choose_tokens(const StepSequence& s, TensorView logits, SamplerScratch& scratch,
                              SequenceResult& result) {
  std::span<const engine::TokenId> tokens = s.tokens;
  for (int64_t i = 0; i < logits.rows(); ++i) {
    const std::span<float> row(logits.row<float>(i), static_cast<size_t>(logits.cols()));
    SampleOutcome outcome =
        sample({row, tokens, s.prompt_tokens, *s.sampling, s.constraint, s.banned},
               slots_[static_cast<size_t>(s.slot)].counts, scratch);
    if (!outcome.error.empty()) {
      if (i == 0) result.error = std::move(outcome.error);
      return;
    }
    const engine::TokenId token = outcome.token.token;
    result.sampled.push_back(std::move(outcome.token));
    const auto guess = static_cast<size_t>(i);
    if (guess == s.guess.size() || token != s.guess[guess]) return;
    if (i == 0) scratch.text.assign(s.tokens.begin(), s.tokens.end());
    scratch.text.push_back(token);
    tokens = scratch.text;
  }
}

}  // namespace hearth::runner
