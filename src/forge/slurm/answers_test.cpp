#include <gtest/gtest.h>

#include "base/error.h"
#include "forge/slurm/slurm.h"

namespace hearth::forge {
namespace {

TEST(SlurmAnswers, JobsOf2205AndOfLaterReleases) {
  const auto jobs = read_squeue(R"json({"jobs": [
    {"job_id": 7, "name": "a", "job_state": "RUNNING", "state_reason": "None"},
    {"job_id": 8, "name": "b", "job_state": "PENDING", "state_reason": "Resources"},
    {"job_id": {"set": true, "number": 9}, "name": "c", "job_state": ["COMPLETED"]},
    {"job_id": 10, "name": "d", "job_state": ["FAILED", "COMPLETING"]},
    {"job_id": 11, "name": "e", "job_state": "NODE_FAIL"},
    {"job_id": 12, "name": "f", "job_state": "SOMETHING_NEW"}]})json");
  ASSERT_EQ(jobs.size(), 6u);
  EXPECT_EQ(jobs[0].state, SlurmState::kAlive);
  EXPECT_EQ(jobs[0].text, "RUNNING");
  EXPECT_EQ(jobs[1].state, SlurmState::kWaiting);
  EXPECT_EQ(jobs[1].text, "PENDING, Resources");
  EXPECT_EQ(jobs[2].id, 9);
  EXPECT_EQ(jobs[2].state, SlurmState::kEnded);
  EXPECT_EQ(jobs[3].state, SlurmState::kAlive);
  EXPECT_EQ(jobs[4].state, SlurmState::kNodeFailed);
  EXPECT_EQ(jobs[5].state, SlurmState::kAlive);
  EXPECT_THROW(read_squeue("{}"), Error);
}

TEST(SlurmAnswers, Nodes) {
  const auto nodes = read_sinfo(R"json({"nodes": [
    {"name": "n0", "address": "10.0.0.1", "cpus": 4, "real_memory": 4000, "gres": "gpu:2(S:0)",
     "partitions": ["all"], "state": "idle", "state_flags": ["DRAIN"], "reason": "fan"},
    {"name": "n1", "state": "down", "state_flags": ["DRAIN", "NOT_RESPONDING"]},
    {"name": "n2", "state": ["IDLE"]}]})json");
  ASSERT_EQ(nodes.size(), 3u);
  EXPECT_EQ(nodes[0].care, SlurmCare::kDrained);
  EXPECT_EQ(nodes[0].reason, "fan");
  EXPECT_EQ(nodes[0].memory_mb, 4000);
  EXPECT_EQ(nodes[0].partitions, std::vector<std::string>{"all"});
  EXPECT_EQ(nodes[1].care, SlurmCare::kAway);
  EXPECT_EQ(nodes[2].care, SlurmCare::kInUse);
}

TEST(SlurmAnswers, GresAreCounted) {
  EXPECT_EQ(gres_count("gpu:2", "gpu"), 2);
  EXPECT_EQ(gres_count("gpu:tesla:2(S:0-1),nic:4,gpu:a100:3", "gpu"), 5);
  EXPECT_EQ(gres_count("gpu:a100:2(IDX:0,1),shard:8", "shard"), 8);
  EXPECT_EQ(gres_count("gpu", "gpu"), 1);
  EXPECT_EQ(gres_count("gpus:3", "gpu"), 0);
  EXPECT_EQ(gres_count("", "gpu"), 0);
}

TEST(SlurmAnswers, OnlyAClearNoIsARefusal) {
  EXPECT_EQ(read_refusal("sbatch: error: Batch job submission failed: Requested node configuration "
                         "is not available"),
            SlurmAnswer::kRefused);
  EXPECT_EQ(read_refusal("sbatch: error: Batch job submission failed: Unable to contact slurm "
                         "controller (connect failure)"),
            SlurmAnswer::kUnknown);
  EXPECT_EQ(read_refusal("sbatch: error: Socket timed out on send/recv operation"),
            SlurmAnswer::kUnknown);
  EXPECT_EQ(read_refusal(""), SlurmAnswer::kUnknown);
}

}  // namespace
}  // namespace hearth::forge
