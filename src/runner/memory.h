// Where memory goes when a model runs here, and how much context fits: for inspect, and for
// choosing the number of blocks when serving.
#pragma once

#include <cstdint>
#include <map>

#include "models/model.h"
#include "runner/cpu_runner.h"

namespace hearth::runner {

struct MemoryPlan {
  std::map<models::Part, int64_t> parameters;    // counts
  std::map<models::Part, int64_t> weight_bytes;  // by part
  int64_t weight_bytes_total = 0;
  int64_t kv_bytes_per_token = 0;
  int64_t kv_bytes_per_block = 0;
  int64_t kv_bytes_total = 0;  // of the options' num_blocks, when all are in use
  int64_t scratch_bytes = 0;   // activations and logits of the largest step, an upper estimate
  int64_t total() const { return weight_bytes_total + kv_bytes_total + scratch_bytes; }
};

MemoryPlan plan_memory(const models::Model& model, const CpuRunnerOptions& options);

// Blocks that fit into `available_bytes` beside weights and scratch; 0 when not even those fit.
int64_t blocks_that_fit(const MemoryPlan& plan, int64_t available_bytes);

// What this process may still take: the smaller of free memory and the limit of its control group.
int64_t available_memory_bytes();

}  // namespace hearth::runner
