#include "forge/checkpoint/cost_model.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace hearth::forge {
namespace {

// 70 billion parameters on 512 GPUs, by hand.
TEST(CheckpointCost, IsWhatThePencilSays) {
  const CheckpointCost cost = checkpoint_cost({.parameters = 70e9,
                                               .gpus = 512,
                                               .gpus_per_node = 8,
                                               .state_bytes = 12,
                                               .copy_gb_s = 25,
                                               .pack_gb_s = 4,
                                               .stored_share = 0.5,
                                               .node_gb_s = 10,
                                               .storage_gb_s = 100,
                                               .slowdown = 0.01,
                                               .interval_s = 600,
                                               .gpu_mtbf_hours = 51'200,
                                               .restart_s = 300});
  EXPECT_DOUBLE_EQ(cost.state_bytes, 840e9);
  EXPECT_NEAR(cost.stall_s, 840.0 / 12'800, 1e-9);
  EXPECT_NEAR(cost.write_s, 4.2, 1e-9);  // 420 GB at 100 GB/s; packing takes 840 / 256
  EXPECT_NEAR(cost.steady_percent, 100 * (0.065625 + 0.042) / 600, 1e-9);
  EXPECT_NEAR(cost.failure_every_hours, 100, 1e-9);
  EXPECT_NEAR(cost.lost_s, 300 + 4.2 + 4.2 + 300, 1e-9);
  EXPECT_NEAR(cost.lost_percent, 100 * 608.4 / 360'000, 1e-9);
}

TEST(CheckpointCost, WhatIsTheNarrowestPlaceDecides) {
  CheckpointCostInput in{.parameters = 8e9, .gpus = 8, .stored_share = 1};
  in.pack_gb_s = 1, in.node_gb_s = 10, in.storage_gb_s = 100;
  EXPECT_NEAR(checkpoint_cost(in).write_s, 96, 1e-9);
  in.pack_gb_s = 1'000;
  EXPECT_NEAR(checkpoint_cost(in).write_s, 9.6, 1e-9);
  in.storage_gb_s = 2;
  EXPECT_NEAR(checkpoint_cost(in).write_s, 48, 1e-9);
  in.interval_s = 10;
  EXPECT_NEAR(checkpoint_cost(in).interval_s, 48, 1e-9) << "one at a time";
}

TEST(CheckpointCost, NoIntervalIsBetterThanTheBest) {
  CheckpointCostInput in{.parameters = 405e9, .gpus = 16'384, .storage_gb_s = 2'000};
  const CheckpointCost best = checkpoint_cost(in);
  for (const double factor : {0.5, 0.8, 1.25, 2.0}) {
    in.interval_s = best.best_interval_s * factor;
    const CheckpointCost other = checkpoint_cost(in);
    EXPECT_GE(other.steady_percent + other.lost_percent, best.best_percent) << factor;
  }
  in.interval_s = best.best_interval_s;
  const CheckpointCost same = checkpoint_cost(in);
  EXPECT_NEAR(same.steady_percent + same.lost_percent, best.best_percent, 1e-9);
}

TEST(CheckpointCost, NamesWhatCannotBe) {
  EXPECT_THROW(checkpoint_cost({.parameters = 0}), Error);
  EXPECT_THROW(checkpoint_cost({.gpus = -1}), Error);
  EXPECT_THROW(checkpoint_cost({.slowdown = 2}), Error);
  try {
    checkpoint_cost({.node_gb_s = 0});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.where, "node_gb_s");
  }
}

}  // namespace
}  // namespace hearth::forge
