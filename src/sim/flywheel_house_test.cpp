#include "sim/flywheel_house.h"

#include <gtest/gtest.h>

#include "sim/accelerator.h"

namespace hearth::sim {
namespace {

using engine::Cost;
using engine::ServiceClass;

constexpr Nanos kTarget = 50 * kMillisecond;
constexpr Cost kPtu = 1000 * engine::kCostPerUnit;

// An 8 B model on one H100, as a linear model of it would be.
struct House {
  explicit House(uint64_t seed = 1)
      : server{&find_accelerator("h100"), &find_model_shape("llama-3.1-8b"), 1},
        runner(server, clock, 0.01, seed),
        house({.config = config(),
               .runner = runner,
               .clock = clock,
               .idle_until = [this](Nanos until) { clock.advance(until - clock.now()); },
               .seed = seed}) {}

  engine::EngineConfig config() const {
    engine::EngineConfig config;
    config.num_blocks = static_cast<int32_t>(server.kv_tokens() / engine::kBlockTokens);
    config.max_model_len = 8192;
    config.max_num_seqs = 512;
    config.max_num_batched_tokens = 4096;
    config.max_num_partial_prefills = 64;
    config.max_long_partial_prefills = 64;
    config.step_time_target = kTarget;
    config.prefix_caching = false;
    config.costs = linear();
    config.prices = prices_of(config.costs, kTarget, config.max_num_seqs);
    return config;
  }

  // Slopes between full steps.
  engine::CostModel linear() const {
    const auto ps = [&](const engine::StepWork& more, const engine::StepWork& less, int64_t by) {
      return (server.step_time(more) - server.step_time(less)) * 1000 / by;
    };
    engine::CostModel costs;
    costs.prompt_token_ps = ps({.prompt_tokens = 1500}, {.prompt_tokens = 500}, 1000);
    costs.prompt_context_ps = 1000;
    costs.sequence_ps = costs.prompt_token_ps;
    costs.context_ps = ps({.generating = 500, .generating_context = 200'000},
                          {.generating = 500, .generating_context = 100'000}, 100'000);
    costs.step_ps = server.step_time({.prompt_tokens = 500}) * 1000 - 500 * costs.prompt_token_ps;
    return costs;
  }

  ServerSpec server;
  FakeClock clock;
  ServerRunner runner;
  FlywheelHouse house;
};

TEST(Accelerator, StepsTakeWhatTheDataSheetSays) {
  const ServerSpec server{&find_accelerator("h100"), &find_model_shape("llama-3.1-8b"), 1};
  const auto ms = [&](const engine::StepWork& work) {
    return static_cast<double>(server.step_time(work)) / kMillisecond;
  };
  EXPECT_NEAR(ms({.generating = 1}), 1.5 + 16.06 / 2.68, 0.1) << "bound by memory: the weights";
  EXPECT_NEAR(ms({.prompt_tokens = 2000}), 1.5 + 2000 * 16.06 / 544, 0.5) << "by arithmetic";
  EXPECT_GT(server.kv_tokens(), 300'000);
}

TEST(FlywheelHouse, DeliversWhatWasBoughtAtTheSameTimePerToken) {
  House house;
  house.house.add({"prompts", ServiceClass::kProvisioned, 300 * kPtu, 1000, 200, 1.5});
  house.house.add({"both", ServiceClass::kProvisioned, 200 * kPtu, 500, 500, 1.5});
  house.house.add({"answers", ServiceClass::kProvisioned, 400 * kPtu, 200, 1000, 1.5});
  house.house.run(60 * kSecond);
  house.house.take();
  house.house.run(120 * kSecond);
  const auto shares = house.house.take();
  for (const FlywheelShare& share : shares) {
    EXPECT_NEAR(share.delivered / static_cast<double>(share.bought), 1, 0.03) << share.name;
    EXPECT_NEAR(share.time_per_token_ms / shares[0].time_per_token_ms, 1, 0.03) << share.name;
    EXPECT_GT(share.refused, 0);
  }
}

TEST(FlywheelHouse, ANeighbourWithoutAContractMovesNobody) {
  const auto run = [](double load) {
    House house;
    house.house.add({"contract", ServiceClass::kProvisioned, 300 * kPtu, 500, 500, 1.5});
    house.house.add({"noisy", ServiceClass::kStandard, 300 * kPtu, 1000, 200, load});
    house.house.run(60 * kSecond);
    house.house.take();
    house.house.run(60 * kSecond);
    return house.house.take();
  };
  const auto quiet = run(1), noisy = run(10);
  EXPECT_NEAR(noisy[0].delivered / quiet[0].delivered, 1, 0.02);
  EXPECT_LT(noisy[0].itl_p99_ms, 1.05 * static_cast<double>(kTarget) / kMillisecond);
  EXPECT_GT(noisy[1].delivered, quiet[1].delivered) << "what is idle is used";
}

// All the time that nobody else needs, and none of theirs: whoever comes waits for the end of one
// step, and after that the engine is his.
TEST(FlywheelHouse, ABatchMovesNobody) {
  const auto run = [](double load) {
    House house;
    house.house.add({"online", ServiceClass::kStandard, 30 * kPtu, 500, 100, 1});
    house.house.add({"batch", ServiceClass::kBatch, 1000 * kPtu, 1000, 200, load});
    house.house.run(300 * kSecond);
    return house.house.take();
  };
  const auto alone = run(0), beside = run(4);
  EXPECT_GT(alone[0].accepted, 100);
  EXPECT_GT(beside[1].delivered, 300.0 * kPtu) << "idle time is used";
  EXPECT_NEAR(beside[0].itl_p50_ms / alone[0].itl_p50_ms, 1, 0.02);
  EXPECT_NEAR(beside[0].itl_p99_ms / alone[0].itl_p99_ms, 1, 0.05);
  const double step_ms = static_cast<double>(kTarget) / kMillisecond;
  EXPECT_LT(beside[0].ttft_p50_ms, alone[0].ttft_p50_ms + step_ms);
  EXPECT_LT(beside[0].ttft_p99_ms, alone[0].ttft_p99_ms + 1.1 * step_ms);
}

TEST(FlywheelHouse, SameSeedSameShares) {
  const auto run = [](uint64_t seed) {
    House house(seed);
    house.house.add({"one", ServiceClass::kProvisioned, 100 * kPtu, 300, 30, 1.0});
    house.house.run(20 * kSecond);
    return house.house.take()[0].delivered;
  };
  EXPECT_EQ(run(7), run(7));
  EXPECT_NE(run(7), run(8));
}

}  // namespace
}  // namespace hearth::sim
