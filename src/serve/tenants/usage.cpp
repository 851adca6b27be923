// /v1/organization/usage/completions, as JSON in OpenAI's pages or as CSV, and the audit log.
#include <algorithm>

#include "io/json.h"
#include "serve/app.h"
#include "serve/list_json.h"
#include "serve/query.h"
#include "serve/services.h"

namespace hearth::serve {
namespace {

using io::Json;

constexpr int64_t kBucketsMax = 1440;

struct Width {
  const char* name;
  int64_t seconds;
  int64_t silent_limit;
};
constexpr Width kWidths[] = {{"1m", 60, 60}, {"1h", 3600, 24}, {"1d", 86'400, 7}};

const Width& width_of(const Query& query) {
  const std::string asked = query.text("bucket_width").value_or("1d");
  for (const Width& width : kWidths) {
    if (asked == width.name) return width;
  }
  throw_error(ErrorCode::kInvalidArgument, "bucket_width",
              "'bucket_width': expected 1m, 1h or 1d, got '{}'", asked);
}

// OpenAI's names for our columns.
std::vector<std::string> group_by(const Query& query) {
  std::vector<std::string> columns;
  for (const std::string& asked : query.list("group_by")) {
    std::string column = asked;
    if (asked == "project_id") column = "project";
    if (asked == "api_key_id") column = "api_key";
    if (asked == "batch") column = "source";
    if (!is_usage_column(column)) {
      throw_error(ErrorCode::kInvalidArgument, "group_by",
                  "'group_by': expected project_id, api_key_id, model, adapter or batch, got '{}'",
                  asked);
    }
    columns.push_back(std::move(column));
  }
  return columns;
}

// Projects by their names, as the books have them.
std::vector<std::string> names_of(const Call& call, std::vector<std::string> ids_or_names) {
  for (std::string& project : ids_or_names) {
    if (const auto found = call.app.services.tenants.find(project)) project = found->name;
  }
  return ids_or_names;
}

UsageQuery read_usage_query(const Call& call, const Query& query, int64_t buckets) {
  UsageQuery out;
  const Width& width = width_of(query);
  out.width_s = width.seconds;
  const int64_t now = call.now_s();
  out.begin_s = query.integer("start_time", 0, kForeverS).value_or(now - now % 86'400);
  if (const auto page = query.integer("page", 0, kForeverS)) out.begin_s = *page;
  out.begin_s = out.begin_s / 60 * 60;  // as fine as the books are
  const int64_t end = query.integer("end_time", 0, kForeverS).value_or(now + 60);
  out.end_s = std::min(end, out.begin_s + buckets * width.seconds);
  out.projects = names_of(call, query.list("project_ids"));
  out.api_keys = query.list("api_key_ids");
  out.models = query.list("models");
  out.adapters = query.list("adapters");
  if (const auto batch = query.text("batch")) {
    out.sources = {*batch == "true" ? "batch" : "online"};
  }
  out.group_by = group_by(query);
  // A tenant sees its own.
  if (call.caller.role != Role::kAdmin) out.projects = {call.tenant.name};
  return out;
}

Json result_json(const UsageRow& row, const std::vector<std::string>& grouped) {
  const auto label = [&](const char* column, const std::string& value) {
    return std::find(grouped.begin(), grouped.end(), column) == grouped.end() ? Json(nullptr)
                                                                              : Json(value);
  };
  Json batch = nullptr;
  if (!row.labels.source.empty()) batch = row.labels.source == "batch";
  return {{"object", "organization.usage.completions.result"},
          {"input_tokens", row.counts.prompt_tokens},
          {"input_cached_tokens", row.counts.cached_tokens},
          {"output_tokens", row.counts.generated_tokens},
          {"ptu_minutes", row.counts.ptu_minutes()},
          {"num_model_requests", row.counts.requests},
          {"project_id", label("project", row.labels.project)},
          {"user_id", nullptr},
          {"api_key_id", label("api_key", row.labels.api_key)},
          {"model", label("model", row.labels.model)},
          {"adapter", label("adapter", row.labels.adapter)},
          {"batch", std::move(batch)}};
}

Json page_json(const UsageQuery& query, const std::vector<UsageRow>& rows, int64_t asked_end) {
  Json data = Json::array();
  size_t next = 0;
  for (int64_t begin = query.begin_s; begin < query.end_s; begin += query.width_s) {
    Json results = Json::array();
    for (; next < rows.size() && rows[next].begin_s == begin; ++next) {
      results.push_back(result_json(rows[next], query.group_by));
    }
    data.push_back({{"object", "bucket"},
                    {"start_time", begin},
                    {"end_time", std::min(begin + query.width_s, query.end_s)},
                    {"results", std::move(results)}});
  }
  const bool more = query.end_s < asked_end;
  return {{"object", "page"},
          {"data", std::move(data)},
          {"has_more", more},
          {"next_page", more ? Json(std::to_string(query.end_s)) : Json(nullptr)}};
}

// Quoted where a program that reads tables would stumble.
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string csv_of(const std::vector<UsageRow>& rows) {
  std::string out =
      "start_time,project,api_key_id,model,adapter,source,requests,prompt_tokens,cached_tokens,"
      "generated_tokens,ptu_minutes\r\n";
  for (const UsageRow& row : rows) {
    const UsageLabels& of = row.labels;
    out +=
        fmt::format("{},{},{},{},{},{},{},{},{},{},{:.6f}\r\n", row.begin_s, csv_field(of.project),
                    csv_field(of.api_key), csv_field(of.model), csv_field(of.adapter), of.source,
                    row.counts.requests, row.counts.prompt_tokens, row.counts.cached_tokens,
                    row.counts.generated_tokens, row.counts.ptu_minutes());
  }
  return out;
}

bool wants_csv(const Call& call, const Query& query) {
  if (const auto format = query.text("format")) return *format == "csv";
  const std::string* accept = call.reply->request().headers.find("accept");
  return accept && accept->find("text/csv") != std::string::npos;
}

}  // namespace

void usage_of_completions(Call& call) {
  const Query query(call.reply->request().query);
  UsageStore& usage = call.app.services.usage;
  if (wants_csv(call, query)) {
    const UsageQuery wanted = read_usage_query(call, query, kForeverS / width_of(query).seconds);
    call.reply->raw({200,
                     {{"Content-Type", "text/csv; charset=utf-8"},
                      {"Content-Disposition", "attachment; filename=\"usage.csv\""}},
                     csv_of(usage.query(wanted))});
    return;
  }
  const int64_t buckets =
      query.integer("limit", 1, kBucketsMax).value_or(width_of(query).silent_limit);
  const UsageQuery wanted = read_usage_query(call, query, buckets);
  const int64_t asked_end = query.integer("end_time", 0, kForeverS).value_or(call.now_s());
  call.reply->json(200, page_json(wanted, usage.query(wanted), asked_end));
}

void list_audit_logs(Call& call) {
  const Query query(call.reply->request().query);
  const auto listed = call.app.services.audit.list(
      {query.page(20, 100), query.list("event_types"), names_of(call, query.list("project_ids")),
       query.list("actor_ids"), query.list("resource_ids")});
  call.reply->json(
      200, list_json(listed, [](const AuditEntry& entry) {
        return Json{
            {"object", "organization.audit_log"},
            {"id", entry.id},
            {"type", entry.type},
            {"effective_at", entry.at_s},
            {"actor", {{"type", "api_key"}, {"api_key", {{"id", entry.actor}}}}},
            {"project", entry.project.empty()
                            ? Json(nullptr)
                            : Json{{"id", entry.project}, {"name", entry.project}}},
            {entry.type, {{"id", entry.object}, {"data", io::parse_json(entry.details, "audit")}}}};
      }));
}

}  // namespace hearth::serve
