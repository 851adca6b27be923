#include "runner/memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace hearth::runner {
namespace {

constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

// The number in a file that holds one; "max" and a missing file say nothing.
int64_t number_in(const char* path) {
  std::ifstream file(path);
  int64_t number = 0;
  return file >> number ? number : kNoLimit;
}

int64_t free_memory() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  int64_t kib = 0;
  std::string unit;
  while (file >> key >> kib) {
    if (key == "MemAvailable:") return kib * 1024;
    std::getline(file, unit);
  }
  return kNoLimit;
}

int64_t left_in_control_group() {
  const int64_t limit = number_in("/sys/fs/cgroup/memory.max");
  const int64_t used = number_in("/sys/fs/cgroup/memory.current");
  return limit == kNoLimit || used == kNoLimit ? kNoLimit : std::max(int64_t{0}, limit - used);
}

// Rows that a layer holds at once, in floats a token: the residual stream, a normed copy, queries,
// keys, values, the attended heads, and both halves of the MLP. Every family needs about this much.
int64_t scratch_of(const models::ModelInfo& info, const CpuRunnerOptions& options) {
  const int64_t row = 6 * info.hidden + (3 * info.heads + 2 * info.kv_heads) * info.head_dim +
                      3 * info.intermediate;
  const int64_t rows = options.max_num_batched_tokens;
  return rows * row * static_cast<int64_t>(sizeof(float)) + options.logits_bytes_max;
}

}  // namespace

MemoryPlan plan_memory(const models::Model& model, const CpuRunnerOptions& options) {
  MemoryPlan plan;
  for (const models::Parameter& parameter : model.parameters) {
    plan.parameters[parameter.part] += parameter.count;
    plan.weight_bytes[parameter.part] += parameter.bytes;
    plan.weight_bytes_total += parameter.bytes;
  }
  plan.kv_bytes_per_token = model.info.kv_bytes_per_token(kv_dtype(options, model.info));
  plan.kv_bytes_per_block = plan.kv_bytes_per_token * engine::kBlockTokens;
  plan.kv_bytes_total = plan.kv_bytes_per_block * options.num_blocks;
  plan.scratch_bytes = scratch_of(model.info, options);
  return plan;
}

int64_t blocks_that_fit(const MemoryPlan& plan, int64_t available_bytes) {
  const int64_t left = available_bytes - plan.weight_bytes_total - plan.scratch_bytes;
  return std::max(int64_t{0}, left / plan.kv_bytes_per_block);
}

int64_t available_memory_bytes() { return std::min(free_memory(), left_in_control_group()); }

}  // namespace hearth::runner
