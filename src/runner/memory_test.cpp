#include "runner/memory.h"

#include <gtest/gtest.h>

#include "models/test_checkpoint.h"

namespace hearth::runner {
namespace {

TEST(Memory, CountsWhatTheCheckpointHolds) {
  const auto checkpoint = models::test_checkpoint(HEARTH_SOURCE_DIR, "llama-mqa-bf16");
  io::MemoryFiles files = checkpoint.files();
  const auto model = models::load(files);
  const MemoryPlan plan = plan_memory(*model, {.num_blocks = 10});
  // 2 layers, 1 kv head of 8, keys and values in bf16.
  EXPECT_EQ(plan.kv_bytes_per_token, 2 * 2 * 8 * 2);
  EXPECT_EQ(plan.kv_bytes_total, plan.kv_bytes_per_token * 160);
  EXPECT_EQ(plan.parameters.at(models::Part::kEmbedding), 61 * 32);
  EXPECT_EQ(plan.parameters.at(models::Part::kHead), 61 * 32);
  EXPECT_EQ(plan.parameters.at(models::Part::kAttention), 2 * (2 * 32 * 32 + 2 * 8 * 32));
  EXPECT_EQ(plan.parameters.at(models::Part::kMlp), 2 * 3 * 48 * 32);
  EXPECT_EQ(plan.weight_bytes.at(models::Part::kMlp), 2 * 2 * 3 * 48 * 32);
}

TEST(Memory, FitsBlocksBesideTheWeights) {
  MemoryPlan plan;
  plan.weight_bytes_total = 1000;
  plan.scratch_bytes = 100;
  plan.kv_bytes_per_block = 50;
  EXPECT_EQ(blocks_that_fit(plan, 1300), 4);
  EXPECT_EQ(blocks_that_fit(plan, 900), 0);
}

TEST(Memory, ThisMachineHasSome) { EXPECT_GT(available_memory_bytes(), 0); }

}  // namespace
}  // namespace hearth::runner
