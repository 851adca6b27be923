// /v1/batches: OpenAI's contract for work that has a day.
#include <algorithm>
#include <charconv>

#include "io/json.h"
#include "serve/app.h"
#include "serve/batches/batch_runner.h"
#include "serve/fields.h"
#include "serve/files/file_store.h"
#include "serve/list_json.h"
#include "serve/metadata.h"
#include "serve/query.h"
#include "serve/services.h"

namespace hearth::serve {
namespace {

using io::Json;

constexpr int64_t kWindowMaxS = 7 * 86'400;
const std::vector<std::string> kEndpoints = {"/v1/chat/completions", "/v1/completions",
                                             "/v1/embeddings", "/v1/responses"};

Json errors_json(const Batch& batch) {
  if (batch.errors.empty()) return nullptr;
  return {{"object", "list"}, {"data", io::parse_json(batch.errors, "errors")}};
}

Json batch_json(const Batch& batch) {
  const UsageCounts& usage = batch.usage;
  return {{"id", batch.id},
          {"object", "batch"},
          {"endpoint", batch.endpoint},
          {"errors", errors_json(batch)},
          {"input_file_id", batch.input_file},
          {"completion_window", batch.completion_window},
          {"status", batch.status},
          {"output_file_id", text_or_null(batch.output_file)},
          {"error_file_id", text_or_null(batch.error_file)},
          {"created_at", batch.created_s},
          {"in_progress_at", time_or_null(batch.in_progress_s)},
          {"expires_at", time_or_null(batch.expires_s)},
          {"finalizing_at", time_or_null(batch.finalizing_s)},
          {"completed_at", time_or_null(batch.completed_s)},
          {"failed_at", time_or_null(batch.failed_s)},
          {"expired_at", time_or_null(batch.expired_s)},
          {"cancelling_at", time_or_null(batch.cancelling_s)},
          {"cancelled_at", time_or_null(batch.cancelled_s)},
          {"request_counts",
           {{"total", batch.total}, {"completed", batch.completed}, {"failed", batch.failed}}},
          {"usage",
           {{"input_tokens", usage.prompt_tokens},
            {"input_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
            {"output_tokens", usage.generated_tokens},
            {"total_tokens", usage.prompt_tokens + usage.generated_tokens}}},
          {"metadata", io::parse_json(batch.metadata, "metadata")},
          {"project_id", batch.project}};
}

// "24h", and other numbers of minutes, hours and days.
int64_t window_seconds(const std::string& window) {
  int64_t number = 0;
  const auto [rest, problem] =
      std::from_chars(window.data(), window.data() + window.size(), number);
  const std::string unit(rest, window.data() + window.size());
  const int64_t scale = unit == "s"   ? 1
                        : unit == "m" ? 60
                        : unit == "h" ? 3600
                        : unit == "d" ? 86'400
                                      : 0;
  if (problem != std::errc() || scale == 0 || number <= 0 || number > kWindowMaxS / scale) {
    throw_error(ErrorCode::kInvalidArgument, "completion_window",
                "'completion_window': expected 24h, or another time up to 7d, got '{}'", window);
  }
  return number * scale;
}

Batch require_batch(Call& call) {
  auto batch = call.app.services.batches.find(call.path["id"], call.tenant.name);
  if (!batch) {
    throw_error(ErrorCode::kNotFound, "id", "No batch found with id '{}'.", call.path["id"]);
  }
  return std::move(*batch);
}

void require_batch_file(Call& call, const std::string& id) {
  const auto file = call.app.services.files.find(id, call.tenant.name, call.now_s());
  if (!file) {
    throw_error(ErrorCode::kNotFound, "input_file_id", "No such File object: {}", id);
  }
  if (file->purpose != "batch") {
    throw_error(ErrorCode::kInvalidArgument, "input_file_id",
                "'input_file_id': expected a file with the purpose batch, got {}", file->purpose);
  }
}

void require_place_in_queue(Call& call) {
  const auto active = call.app.services.batches.active();
  const auto own = std::count_if(active.begin(), active.end(), [&](const Batch& batch) {
    return batch.project == call.tenant.name;
  });
  const int64_t limit = call.app.options.services.project_batches_max;
  if (own >= limit) {
    throw_error(ErrorCode::kResourceExhausted, "",
                "project_batches_max = {} batches of this project are not over yet", limit);
  }
}

}  // namespace

void create_batch(Call& call) {
  call.app.services.files.require_place();
  const Json body = call.json_body();
  const Fields fields(body);
  Batch batch;
  batch.input_file = fields.require_string("input_file_id");
  fields.require_string("endpoint");
  batch.endpoint = *fields.choice("endpoint", kEndpoints);
  batch.completion_window = fields.require_string("completion_window");
  const int64_t window_s = window_seconds(batch.completion_window);
  batch.metadata = read_metadata(fields);
  if (const Json* expiry = fields.object("output_expires_after")) {
    const Fields inside(*expiry, "output_expires_after");
    inside.choice("anchor", {"created_at"});
    batch.output_expires_after_s =
        inside.integer("seconds", kFileExpiryMinS, kFileExpiryMaxS).value_or(0);
  }
  require_batch_file(call, batch.input_file);
  require_place_in_queue(call);
  batch.id = call.app.ids.make("batch_");
  batch.project = call.tenant.name;
  batch.api_key = call.caller.key_id;
  batch.created_s = call.now_s();
  batch.expires_s = batch.created_s + window_s;
  call.app.services.batches.add(batch);
  call.reply->json(200, batch_json(batch));
  call.app.services.batch_runner->wake();
}

void list_batches(Call& call) {
  const Query query(call.reply->request().query);
  const auto listed =
      call.app.services.batches.list(listed_project(call, query), query.page(20, 100));
  call.reply->json(200, list_json(listed, batch_json));
}

void get_batch(Call& call) { call.reply->json(200, batch_json(require_batch(call))); }

void cancel_batch(Call& call) {
  const Batch batch = require_batch(call);
  const bool asked = call.app.services.batches.ask_to_cancel(batch.id, call.now_s());
  if (!asked && batch.status != batch_status::kCancelling) {
    return call.reply->error(
        conflict(fmt::format("a batch with the status {} cannot be cancelled", batch.status)));
  }
  call.app.services.batch_runner->wake();
  call.reply->json(200, batch_json(require_batch(call)));
}

}  // namespace hearth::serve
