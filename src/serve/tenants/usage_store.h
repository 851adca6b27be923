// What was used, by minute, tenant, key, model and adapter. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hearth::io {
class Database;
}

namespace hearth::serve {

class State;

// Whose and what; in answers, empty where it was not asked for.
struct UsageLabels {
  std::string project;
  std::string api_key;
  std::string model;    // the base
  std::string adapter;  // empty: none
  std::string source;   // "online" or "batch"
};

struct UsageCounts {
  int64_t requests = 0;
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of the prompt
  int64_t generated_tokens = 0;
  int64_t micro_ptu_minutes = 0;  // the work that they were (flywheel/ptu.h)

  double ptu_minutes() const;
};

struct UsageRow {
  int64_t begin_s = 0;  // of the bucket
  UsageLabels labels;
  UsageCounts counts;
};

struct UsageQuery {
  int64_t begin_s = 0;
  int64_t end_s = INT64_MAX;
  int64_t width_s = 86'400;  // of a bucket; at least a minute
  // Only these; empty: all.
  std::vector<std::string> projects, api_keys, models, adapters, sources;
  // Columns of UsageLabels that rows are told apart by.
  std::vector<std::string> group_by;
};

// project, api_key, model, adapter, source
bool is_usage_column(const std::string& name);

class UsageStore {
 public:
  explicit UsageStore(State& state) : state_(state) {}

  void add(int64_t now_s, const UsageLabels& labels, const UsageCounts& counts);
  // The same as a part of somebody's transaction.
  static void add(io::Database& database, int64_t now_s, const UsageLabels& labels,
                  const UsageCounts& counts);
  // In order of time.
  std::vector<UsageRow> query(const UsageQuery& query);
  // Prompt and generated tokens of one tenant since then.
  int64_t tokens_since(const std::string& project, int64_t begin_s);

 private:
  State& state_;
};

}  // namespace hearth::serve
