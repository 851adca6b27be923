#include "engine/scheduler.h"

#include <gtest/gtest.h>
#include <numeric>

#include "base/error.h"

namespace hearth::engine {
namespace {

constexpr TokenId kSampled = 1000;

EngineConfig small_config() {
  EngineConfig config;
  config.num_blocks = 64;
  config.max_model_len = 512;
  config.max_num_seqs = 8;
  config.max_num_batched_tokens = 128;
  config.long_prefill_token_threshold = 48;
  config.watermark_permille = 0;
  return config;
}

Request make_request(RequestId id, int32_t prompt_tokens, int32_t max_tokens) {
  Request request;
  request.id = id;
  request.prompt.resize(static_cast<size_t>(prompt_tokens));
  std::iota(request.prompt.begin(), request.prompt.end(), static_cast<TokenId>(id) * 100'000);
  request.max_tokens = max_tokens;
  return request;
}

// Drives a scheduler with a runner that samples kSampled always.
struct Engine {
  explicit Engine(const EngineConfig& config) : scheduler(config) {}

  Admission add(Request request) { return scheduler.add(std::move(request), now); }
  const StepPlan& plan() { return scheduler.plan(now); }
  std::span<const Output> commit(const StepPlan& plan) {
    result.sequences.assign(plan.sequences.size(), {});
    for (size_t i = 0; i < plan.sequences.size(); ++i) {
      if (plan.sequences[i].want == Want::kToken) {
        result.sequences[i].sampled.push_back({.token = kSampled});
      }
      if (plan.sequences[i].want == Want::kPooled) result.sequences[i].pooled = {1, 2, 3};
    }
    now += kMillisecond;
    return scheduler.commit(result, now);
  }
  std::span<const Output> step() { return commit(plan()); }
  // The count that each request computes in the next step, by id.
  static std::vector<std::pair<RequestId, int32_t>> counts(const StepPlan& plan) {
    std::vector<std::pair<RequestId, int32_t>> counts;
    for (const StepSequence& sequence : plan.sequences) {
      counts.emplace_back(sequence.request, sequence.count);
    }
    return counts;
  }

  Scheduler scheduler;
  StepResult result;
  Nanos now = kSecond;
};

using Counts = std::vector<std::pair<RequestId, int32_t>>;

TEST(Scheduler, AnswersOneRequest) {
  Engine engine(small_config());
  ASSERT_TRUE(engine.add(make_request(1, 20, 3)).accepted());
  const StepPlan& plan = engine.plan();
  ASSERT_EQ(plan.sequences.size(), 1u);
  EXPECT_EQ(plan.sequences[0].count, 20);
  EXPECT_EQ(plan.sequences[0].want, Want::kToken);
  EXPECT_EQ(plan.sequences[0].blocks.size(), 2u);
  EXPECT_TRUE(plan.sequences[0].fresh);
  EXPECT_EQ(engine.commit(plan)[0].tokens[0].token, kSampled);
  EXPECT_EQ(engine.step()[0].finish, FinishReason::kNone);
  const Output last = engine.step()[0];
  EXPECT_EQ(last.finish, FinishReason::kLength);
  EXPECT_TRUE(last.request_done);
  EXPECT_EQ(last.usage.output_tokens, 3);
  EXPECT_EQ(last.timing.first_token, kSecond + kMillisecond);
  EXPECT_FALSE(engine.scheduler.busy());
  EXPECT_TRUE(engine.plan().sequences.empty());
  EXPECT_EQ(engine.scheduler.stats().blocks_used, 0);
}

}  // namespace
}  // namespace hearth::engine
