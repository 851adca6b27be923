#include "serve/batches/batch_store.h"

#include "base/check.h"
#include "serve/state/paging.h"
#include "serve/state/state.h"

namespace hearth::serve {
namespace {

constexpr const char* kBatchColumns =
    "number, id, project, api_key, endpoint, input_file, completion_window, status, metadata, "
    "errors, output_file, error_file, output_expires_after_s, total, completed, failed, "
    "prompt_tokens, cached_tokens, generated_tokens, created_s, expires_s, in_progress_s, "
    "finalizing_s, completed_s, failed_s, expired_s, cancelling_s, cancelled_s";

Batch batch_of(io::Statement& row) {
  Batch batch;
  int column = 0;
  batch.number = row.integer(column++);
  for (std::string* text :
       {&batch.id, &batch.project, &batch.api_key, &batch.endpoint, &batch.input_file,
        &batch.completion_window, &batch.status, &batch.metadata, &batch.errors, &batch.output_file,
        &batch.error_file}) {
    *text = row.text(column++);
  }
  for (int64_t* number :
       {&batch.output_expires_after_s, &batch.total, &batch.completed, &batch.failed,
        &batch.usage.prompt_tokens, &batch.usage.cached_tokens, &batch.usage.generated_tokens,
        &batch.created_s, &batch.expires_s, &batch.in_progress_s, &batch.finalizing_s,
        &batch.completed_s, &batch.failed_s, &batch.expired_s, &batch.cancelling_s,
        &batch.cancelled_s}) {
    *number = row.integer(column++);
  }
  return batch;
}

void set_status(io::Database& database, const std::string& id, const char* status, int64_t now_s,
                const std::string& only_if) {
  database
      .prepare(
          fmt::format("UPDATE batches SET status = ?, {}_s = ? WHERE id = ? AND status IN ({})",
                      status, only_if))
      .bind(status)
      .bind(now_s)
      .bind(id)
      .run();
}

}  // namespace

bool is_over(const Batch& batch) {
  using namespace batch_status;
  return batch.status == kFailed || batch.status == kCompleted || batch.status == kExpired ||
         batch.status == kCancelled;
}

void BatchStore::add(const Batch& batch) {
  state_.write([&](io::Database& database) {
    database
        .prepare(
            "INSERT INTO batches (id, project, api_key, endpoint, input_file, completion_window, "
            "status, metadata, output_expires_after_s, created_s, expires_s) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(batch.id)
        .bind(batch.project)
        .bind(batch.api_key)
        .bind(batch.endpoint)
        .bind(batch.input_file)
        .bind(batch.completion_window)
        .bind(batch.status)
        .bind(batch.metadata)
        .bind(batch.output_expires_after_s)
        .bind(batch.created_s)
        .bind(batch.expires_s)
        .run();
  });
}

std::optional<Batch> BatchStore::find(const std::string& id, const std::string& project) {
  return state_.read([&](io::Database& database) -> std::optional<Batch> {
    auto row = database.prepare(
        fmt::format("SELECT {} FROM batches WHERE id = ? AND project = ?", kBatchColumns));
    row.bind(id).bind(project);
    if (!row.step()) return std::nullopt;
    return batch_of(row);
  });
}

Listed<Batch> BatchStore::list(const std::string& project, const Page& page) {
  return state_.read([&](io::Database& database) {
    PagedQuery query(database, "batches", kBatchColumns, page);
    if (!project.empty()) query.where_equal("project", project);
    return query.collect<Batch>(batch_of);
  });
}

std::vector<Batch> BatchStore::active() {
  return state_.read([&](io::Database& database) {
    PagedQuery query(database, "batches", kBatchColumns, {{}, PagedQuery::kAll, true});
    query.where("status IN ('validating', 'in_progress', 'finalizing', 'cancelling')");
    return query.collect<Batch>(batch_of).entries;
  });
}

void BatchStore::add_items(const std::string& batch, const std::vector<BatchItem>& items) {
  state_.write([&](io::Database& database) {
    for (const BatchItem& item : items) {
      database
          .prepare(
              "INSERT INTO batch_items (batch, line, custom_id, begin, bytes) "
              "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
          .bind(batch)
          .bind(item.line)
          .bind(item.custom_id)
          .bind(item.begin)
          .bind(item.bytes)
          .run();
    }
  });
}

void BatchStore::begin(const std::string& batch, int64_t total, int64_t now_s) {
  state_.write([&](io::Database& database) {
    database.prepare("UPDATE batches SET total = ? WHERE id = ?").bind(total).bind(batch).run();
    set_status(database, batch, batch_status::kInProgress, now_s, "'validating'");
  });
}

void BatchStore::fail(const std::string& batch, const std::string& errors, int64_t now_s) {
  state_.write([&](io::Database& database) {
    database.prepare("UPDATE batches SET errors = ? WHERE id = ?").bind(errors).bind(batch).run();
    set_status(database, batch, batch_status::kFailed, now_s, "'validating'");
  });
}

bool BatchStore::ask_to_cancel(const std::string& batch, int64_t now_s) {
  return state_.write([&](io::Database& database) {
    set_status(database, batch, batch_status::kCancelling, now_s, "'validating', 'in_progress'");
    return database.changes() > 0;
  });
}

std::vector<BatchItem> BatchStore::pending(const std::string& batch, int64_t after_line,
                                           int64_t limit) {
  return state_.read([&](io::Database& database) {
    auto rows = database.prepare(
        "SELECT line, custom_id, begin, bytes FROM batch_items WHERE batch = ? AND line > ? AND "
        "status = 0 ORDER BY line LIMIT ?");
    rows.bind(batch).bind(after_line).bind(limit);
    std::vector<BatchItem> out;
    while (rows.step()) {
      out.push_back({rows.integer(0), rows.text(1), rows.integer(2), rows.integer(3)});
    }
    return out;
  });
}

bool BatchStore::record(const Batch& batch, int64_t line, ItemStatus status,
                        const std::string& answer, const UsageLabels& labels,
                        const UsageCounts& counts, int64_t now_s) {
  CHECK(status != ItemStatus::kPending, "an answer that is none");
  return state_.write([&](io::Database& database) {
    database
        .prepare(
            "UPDATE batch_items SET status = ?, answer = ? WHERE batch = ? AND line = ? AND "
            "status = 0")
        .bind(static_cast<int64_t>(status))
        .bind(answer)
        .bind(batch.id)
        .bind(line)
        .run();
    if (database.changes() == 0) return false;
    database
        .prepare(
            "UPDATE batches SET completed = completed + ?, failed = failed + ?, "
            "prompt_tokens = prompt_tokens + ?, cached_tokens = cached_tokens + ?, "
            "generated_tokens = generated_tokens + ? WHERE id = ?")
        .bind(status == ItemStatus::kAnswered ? 1 : 0)
        .bind(status == ItemStatus::kFailed ? 1 : 0)
        .bind(counts.prompt_tokens)
        .bind(counts.cached_tokens)
        .bind(counts.generated_tokens)
        .bind(batch.id)
        .run();
    UsageStore::add(database, now_s, labels, counts);
    return true;
  });
}

void BatchStore::finalizing(const std::string& batch, int64_t now_s) {
  state_.write([&](io::Database& database) {
    set_status(database, batch, batch_status::kFinalizing, now_s, "'in_progress'");
  });
}

std::vector<BatchStore::Answer> BatchStore::answers(const std::string& batch, ItemStatus status,
                                                    int64_t after_line, int64_t limit) {
  return state_.read([&](io::Database& database) {
    auto rows = database.prepare(
        "SELECT line, answer FROM batch_items WHERE batch = ? AND line > ? AND status = ? "
        "ORDER BY line LIMIT ?");
    rows.bind(batch).bind(after_line).bind(static_cast<int64_t>(status)).bind(limit);
    std::vector<Answer> out;
    while (rows.step()) out.push_back({rows.integer(0), rows.text(1)});
    return out;
  });
}

void BatchStore::finish(const Batch& batch, const char* status,
                        const std::optional<StoredFile>& output,
                        const std::optional<StoredFile>& errors, int64_t now_s) {
  state_.write([&](io::Database& database) {
    if (output) FileStore::insert(database, *output);
    if (errors) FileStore::insert(database, *errors);
    database.prepare("UPDATE batches SET output_file = ?, error_file = ? WHERE id = ?")
        .bind(output ? output->id : "")
        .bind(errors ? errors->id : "")
        .bind(batch.id)
        .run();
    set_status(database, batch.id, status, now_s,
               "'validating', 'in_progress', 'finalizing', 'cancelling'");
  });
}

bool BatchStore::forget_items(int64_t limit) {
  return state_.write([&](io::Database& database) {
    auto row = database.prepare(
        "SELECT batch FROM batch_items WHERE batch NOT IN (SELECT id FROM batches WHERE status IN "
        "('validating', 'in_progress', 'finalizing', 'cancelling')) LIMIT 1");
    if (!row.step()) return false;
    const std::string batch = row.text(0);
    while (row.step()) {
    }
    database
        .prepare(
            "DELETE FROM batch_items WHERE batch = ? AND line IN "
            "(SELECT line FROM batch_items WHERE batch = ? ORDER BY line LIMIT ?)")
        .bind(batch)
        .bind(batch)
        .bind(limit)
        .run();
    return true;
  });
}

}  // namespace hearth::serve
