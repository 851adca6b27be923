// Times steps of chosen shapes: what a cost model is fitted to. The plans are made here, without a
// scheduler; what the KV cache holds does not matter for the time.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "engine/config.h"
#include "engine/step_plan.h"
#include "flywheel/cost_fit.h"

namespace hearth::flywheel {

struct StepShape {
  int32_t prompt_tokens = 0;
  int32_t prompt_before = 0;  // tokens of that prompt computed already
  int32_t generating = 0;
  int32_t context = 0;   // tokens before each of those
  int32_t adapters = 0;  // different ones, taken in turn
};

struct ProbeOptions {
  // How long to measure, about.
  Nanos time = 20 * kSecond;
  // Different shapes; fewer where steps are slow.
  int32_t shapes = 96;
  // Of the shapes.
  uint64_t seed = 1;
  // In the runner's memory, to be used in turn; none: adapters are not measured.
  std::vector<engine::AdapterId> adapters;
};

// One thread at a time.
class StepProbe {
 public:
  // `limits`: max_num_seqs, max_num_batched_tokens, max_model_len, num_blocks, vocabulary and
  // step_time_target count. Everything outlives this.
  StepProbe(engine::Runner& runner, const engine::EngineConfig& limits, const Clock& clock);

  // What it is made of and how long it took.
  StepSample run(const StepShape& shape, const ProbeOptions& options);
  // Random shapes up to a little over the target, each the quickest of several goes: what others do
  // on the machine meanwhile is not the model's.
  std::vector<StepSample> measure(const ProbeOptions& options,
                                  const std::function<void(int64_t, int64_t)>& progress = {});

 private:
  StepShape random_shape(const ProbeOptions& options, Random& random, Nanos most);
  bool fits(const StepShape& shape) const;
  void add_sequence(int32_t computed, int32_t count, engine::AdapterId adapter);

  engine::Runner& runner_;
  const engine::EngineConfig& limits_;
  const Clock& clock_;
  engine::SamplingParams greedy_;
  std::vector<engine::TokenId> tokens_;
  std::vector<engine::BlockId> blocks_;  // all of them, in order
  engine::StepPlan plan_;
  engine::BlockId next_block_ = 0;
  uint64_t steps_ = 0;
};

// One sample in so many is not fitted but foretold: the last of each kHeldOut.
constexpr int kHeldOut = 4;

struct ProbeResult {
  engine::CostModel costs;
  FitError fitted;
  FitError held_out;
};
ProbeResult fit_and_check(std::span<const StepSample> samples);

}  // namespace hearth::flywheel
