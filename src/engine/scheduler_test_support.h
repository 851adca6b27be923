// What the tests of the scheduler share: small limits, requests without a common token, and a
// runner that always samples the same.
#pragma once

#include <memory>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "engine/scheduler.h"

namespace hearth::engine {

constexpr TokenId kSampled = 1000;

inline EngineConfig small_config() {
  EngineConfig config;
  config.num_blocks = 64;
  config.max_model_len = 600;
  config.max_num_seqs = 8;
  config.max_num_batched_tokens = 128;
  config.long_prefill_token_threshold = 48;
  config.max_long_partial_prefills = 1;
  config.watermark_permille = 0;
  return config;
}

// No two requests share a token.
inline Request make_request(RequestId id, int32_t prompt_tokens, int32_t max_tokens) {
  Request request;
  request.id = id;
  request.prompt.resize(static_cast<size_t>(prompt_tokens));
  std::iota(request.prompt.begin(), request.prompt.end(), static_cast<TokenId>(id) * 100'000);
  request.max_tokens = max_tokens;
  return request;
}

// What each request computes in a step.
inline std::vector<std::pair<RequestId, int32_t>> counts(const StepPlan& plan) {
  std::vector<std::pair<RequestId, int32_t>> result;
  for (const StepSequence& step : plan.sequences) result.emplace_back(step.request, step.count);
  return result;
}

// A scheduler and a runner that always samples kSampled.
struct Engine {
  explicit Engine(const EngineConfig& config, std::unique_ptr<StepBudget> budget = nullptr)
      : scheduler(config, std::move(budget)) {}

  Admission add(Request request) { return scheduler.add(std::move(request), now); }
  const StepPlan& plan() { return *(planned = &scheduler.plan(now)); }

  static StepResult answer(const StepPlan& plan, TokenId token = kSampled) {
    StepResult result;
    for (const StepSequence& step : plan.sequences) {
      SequenceResult& one = result.sequences.emplace_back();
      if (step.want == Want::kToken) one.sampled.push_back({.token = token});
      if (step.want == Want::kPooled) one.pooled = {1, 2, 3};
      if (step.sampling->prompt_logprobs < 0) continue;
      for (int32_t i = step.computed + 1; i <= step.computed + step.count; ++i) {
        if (i < step.prompt_tokens) one.prompt.push_back({.token = i});
      }
    }
    return result;
  }
  std::span<const Output> commit(StepResult with) {
    result = std::move(with);
    now += kMillisecond;
    return scheduler.commit(result, now);
  }
  // Answers what was planned last.
  std::span<const Output> commit() { return commit(answer(*planned)); }
  std::span<const Output> step(TokenId token = kSampled) { return commit(answer(plan(), token)); }
  // Steps until everything has ended; the number of steps.
  int drain() {
    int steps = 0;
    for (; scheduler.busy(); ++steps) step();
    return steps;
  }

  Scheduler scheduler;
  const StepPlan* planned = nullptr;
  StepResult result;
  Nanos now = kSecond;
};

}  // namespace hearth::engine
