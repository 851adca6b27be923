#include "flywheel/step_probe.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace hearth::flywheel {
namespace {

using engine::kBlockTokens;

constexpr int kGoes = 4;
constexpr double kBeyondTarget = 1.5;  // steps up to so many targets are measured

int32_t blocks_for(int32_t tokens) { return (tokens + kBlockTokens - 1) / kBlockTokens; }

// As many small ones as large ones.
int32_t log_uniform(Random& random, int32_t low, int32_t high) {
  if (high <= low) return low;
  const double at = random.uniform() * std::log(static_cast<double>(high) / low);
  return static_cast<int32_t>(std::lround(low * std::exp(at)));
}

}  // namespace

StepProbe::StepProbe(engine::Runner& runner, const engine::EngineConfig& limits, const Clock& clock)
    : runner_(runner),
      limits_(limits),
      clock_(clock),
      tokens_(static_cast<size_t>(limits.max_model_len)),
      blocks_(static_cast<size_t>(limits.num_blocks)) {
  greedy_.temperature = 0;
  Random random(1);
  const auto vocabulary = static_cast<uint64_t>(std::max(limits.vocabulary, 1));
  for (engine::TokenId& token : tokens_) {
    token = static_cast<engine::TokenId>(random.below(vocabulary));
  }
  std::iota(blocks_.begin(), blocks_.end(), 0);
}

bool StepProbe::fits(const StepShape& shape) const {
  const int64_t blocks = int64_t{shape.generating} * blocks_for(shape.context + 1) +
                         blocks_for(shape.prompt_before + shape.prompt_tokens);
  const int32_t rows = shape.prompt_tokens + shape.generating;
  return rows > 0 && rows <= limits_.max_num_batched_tokens && blocks <= limits_.num_blocks &&
         shape.generating + (shape.prompt_tokens > 0) <= limits_.max_num_seqs &&
         shape.context < limits_.max_model_len &&
         shape.prompt_before + shape.prompt_tokens <= limits_.max_model_len;
}

void StepProbe::add_sequence(int32_t computed, int32_t count, engine::AdapterId adapter) {
  const int32_t known = computed + count;
  const auto blocks = static_cast<size_t>(blocks_for(known));
  engine::StepSequence& step = plan_.sequences.emplace_back();
  step.slot = static_cast<int32_t>(plan_.sequences.size()) - 1;
  step.request = steps_ * 10'000 + plan_.sequences.size();
  step.fresh = true;
  step.tokens = std::span(tokens_).first(static_cast<size_t>(known));
  step.prompt_tokens = known;
  step.computed = computed;
  step.count = count;
  step.blocks = std::span(blocks_).subspan(static_cast<size_t>(next_block_), blocks);
  step.adapter = adapter;
  step.sampling = &greedy_;
  step.want = engine::Want::kToken;
  next_block_ += static_cast<engine::BlockId>(blocks);
  plan_.tokens += count;
  if (adapter != engine::kBaseModel) plan_.work.adapter_rows += count;
}

StepSample StepProbe::run(const StepShape& shape, const ProbeOptions& options) {
  if (!fits(shape)) {
    throw_error(
        ErrorCode::kInvalidArgument, "shape",
        "a step of {} prompt tokens after {} and {} sequences of {} does not fit the engine",
        shape.prompt_tokens, shape.prompt_before, shape.generating, shape.context);
  }
  plan_ = {};
  plan_.step = ++steps_;
  next_block_ = 0;
  size_t turn = 0;
  const auto adapter = [&] {
    if (shape.adapters == 0) return engine::kBaseModel;
    return options.adapters[turn++ % static_cast<size_t>(shape.adapters)];
  };
  for (int32_t i = 0; i < shape.generating; ++i) add_sequence(shape.context, 1, adapter());
  if (shape.prompt_tokens > 0) add_sequence(shape.prompt_before, shape.prompt_tokens, adapter());
  plan_.work.prompt_tokens = shape.prompt_tokens;
  plan_.work.prompt_context = engine::context_of(shape.prompt_before, shape.prompt_tokens);
  plan_.work.generating = shape.generating;
  plan_.work.generating_context = int64_t{shape.generating} * shape.context;
  plan_.work.adapters = std::min(shape.adapters, static_cast<int32_t>(plan_.sequences.size()));
  const Nanos begin = clock_.now();
  runner_.run(plan_);
  return {plan_.work, clock_.now() - begin};
}

// A third each of prompts, sequences and both. What is far slower than a step may be is drawn
// again.
StepShape StepProbe::random_shape(const ProbeOptions& options, Random& random, Nanos most) {
  const int32_t longest = limits_.max_model_len - 1;
  for (;;) {
    StepShape shape;
    const uint64_t kind = random.below(3);
    if (kind != 0) {
      shape.generating = log_uniform(random, 1, limits_.max_num_seqs - 1);
      shape.context = log_uniform(random, std::min(16, longest), longest);
    }
    if (kind != 1) {
      shape.prompt_tokens = log_uniform(random, 8, limits_.max_num_batched_tokens);
      if (random.chance(0.5)) shape.prompt_before = log_uniform(random, 1, longest);
    }
    const auto count = static_cast<int32_t>(options.adapters.size());
    if (count > 0 && random.chance(0.5)) shape.adapters = log_uniform(random, 1, count);
    if (!fits(shape)) continue;
    // A first go also brings pages and caches into their usual state.
    if (run(shape, options).duration <= most) return shape;
    if (shape.prompt_tokens + shape.generating == 1) return shape;
  }
}

std::vector<StepSample> StepProbe::measure(const ProbeOptions& options,
                                           const std::function<void(int64_t, int64_t)>& progress) {
  const auto most =
      static_cast<Nanos>(kBeyondTarget * static_cast<double>(limits_.step_time_target));
  Random random(options.seed);
  const Nanos begin = clock_.now();
  std::vector<StepSample> samples;
  while (static_cast<int32_t>(samples.size()) < options.shapes) {
    if (clock_.now() - begin > options.time && samples.size() >= 32) break;
    const StepShape shape = random_shape(options, random, most);
    std::vector<StepSample> goes;
    for (int i = 0; i < kGoes; ++i) goes.push_back(run(shape, options));
    samples.push_back(*std::min_element(goes.begin(), goes.end(), [](const auto& a, const auto& b) {
      return a.duration < b.duration;
    }));
    if (progress) progress(std::ssize(samples), options.shapes);
  }
  return samples;
}

ProbeResult fit_and_check(std::span<const StepSample> samples) {
  std::vector<StepSample> fitted, held_out;
  for (size_t i = 0; i < samples.size(); ++i) {
    (i % kHeldOut == kHeldOut - 1 ? held_out : fitted).push_back(samples[i]);
  }
  ProbeResult result;
  result.costs = fit_costs(fitted);
  result.fitted = error_of(result.costs, fitted);
  result.held_out = error_of(result.costs, held_out);
  return result;
}

}  // namespace hearth::flywheel
