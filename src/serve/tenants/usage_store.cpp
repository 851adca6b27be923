#include "serve/tenants/usage_store.h"

#include <algorithm>
#include <fmt/format.h>

#include "flywheel/ptu.h"
#include "serve/state/state.h"

namespace hearth::serve {
namespace {

constexpr int64_t kMinuteS = 60;
constexpr const char* kUsageColumns[] = {"project", "api_key", "model", "adapter", "source"};

std::string marks(size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += i == 0 ? "?" : ", ?";
  return out;
}

}  // namespace

double UsageCounts::ptu_minutes() const {
  return static_cast<double>(micro_ptu_minutes) / flywheel::kMicro;
}

bool is_usage_column(const std::string& name) {
  return std::find(std::begin(kUsageColumns), std::end(kUsageColumns), name) !=
         std::end(kUsageColumns);
}

void UsageStore::add(int64_t now_s, const UsageLabels& labels, const UsageCounts& counts) {
  state_.write([&](io::Database& database) { add(database, now_s, labels, counts); });
}

void UsageStore::add(io::Database& database, int64_t now_s, const UsageLabels& labels,
                     const UsageCounts& counts) {
  database
      .prepare(
          "INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
          "requests = requests + excluded.requests, "
          "prompt_tokens = prompt_tokens + excluded.prompt_tokens, "
          "cached_tokens = cached_tokens + excluded.cached_tokens, "
          "generated_tokens = generated_tokens + excluded.generated_tokens, "
          "micro_ptu_minutes = micro_ptu_minutes + excluded.micro_ptu_minutes")
      .bind(now_s / kMinuteS * kMinuteS)
      .bind(labels.project)
      .bind(labels.api_key)
      .bind(labels.model)
      .bind(labels.adapter)
      .bind(labels.source)
      .bind(counts.requests)
      .bind(counts.prompt_tokens)
      .bind(counts.cached_tokens)
      .bind(counts.generated_tokens)
      .bind(counts.micro_ptu_minutes)
      .run();
}

std::vector<UsageRow> UsageStore::query(const UsageQuery& query) {
  const std::vector<std::string>* filters[] = {&query.projects, &query.api_keys, &query.models,
                                               &query.adapters, &query.sources};
  const auto grouped = [&](const char* column) {
    return std::find(query.group_by.begin(), query.group_by.end(), column) != query.group_by.end();
  };
  // Buckets are counted from the beginning that was asked for.
  std::string sql = "SELECT ? + (minute_s - ?) / ? * ? AS begin";
  std::string group = "begin";
  for (const char* column : kUsageColumns) {
    sql += grouped(column) ? fmt::format(", {}", column) : ", ''";
    if (grouped(column)) group += fmt::format(", {}", column);
  }
  sql +=
      ", sum(requests), sum(prompt_tokens), sum(cached_tokens), sum(generated_tokens), "
      "sum(micro_ptu_minutes) FROM usage WHERE minute_s >= ? AND minute_s < ?";
  for (size_t i = 0; i < std::size(filters); ++i) {
    if (!filters[i]->empty()) {
      sql += fmt::format(" AND {} IN ({})", kUsageColumns[i], marks(filters[i]->size()));
    }
  }
  sql += fmt::format(" GROUP BY {} ORDER BY {}", group, group);
  return state_.read([&](io::Database& database) {
    auto rows = database.prepare(sql);
    rows.bind(query.begin_s).bind(query.begin_s).bind(query.width_s).bind(query.width_s);
    rows.bind(query.begin_s).bind(query.end_s);
    for (const auto* filter : filters) {
      for (const std::string& value : *filter) rows.bind(value);
    }
    std::vector<UsageRow> out;
    while (rows.step()) {
      out.push_back(
          {rows.integer(0),
           {rows.text(1), rows.text(2), rows.text(3), rows.text(4), rows.text(5)},
           {rows.integer(6), rows.integer(7), rows.integer(8), rows.integer(9), rows.integer(10)}});
    }
    return out;
  });
}

int64_t UsageStore::tokens_since(const std::string& project, int64_t begin_s) {
  return state_.read([&](io::Database& database) {
    auto row = database.prepare(
        "SELECT sum(prompt_tokens + generated_tokens) FROM usage WHERE minute_s >= ? AND "
        "project = ?");
    row.bind(begin_s).bind(project);
    return row.step() ? row.integer(0) : 0;
  });
}

}  // namespace hearth::serve
