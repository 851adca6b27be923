#include "serve/tuning/tuning_store.h"

#include <fmt/format.h>

#include "serve/state/paging.h"
#include "serve/state/state.h"

namespace hearth::serve {
namespace {

constexpr const char* kTuningColumns =
    "number, id, project, owner, api_key, model, base, training_file, validation_file, method, "
    "hyperparameters, suffix, metadata, status, error, fine_tuned_model, result_file, seed, "
    "examples, steps, last_step, last_validation_step, trained_tokens, attempts, created_s, "
    "started_s, finished_s";

TuningJob job_of(io::Statement& row) {
  TuningJob job;
  int column = 0;
  job.number = row.integer(column++);
  for (std::string* text :
       {&job.id, &job.project, &job.owner, &job.api_key, &job.model, &job.base, &job.training_file,
        &job.validation_file, &job.method, &job.hyperparameters, &job.suffix, &job.metadata,
        &job.status, &job.error, &job.fine_tuned_model, &job.result_file}) {
    *text = row.text(column++);
  }
  for (int64_t* number :
       {&job.seed, &job.examples, &job.steps, &job.last_step, &job.last_validation_step,
        &job.trained_tokens, &job.attempts, &job.created_s, &job.started_s, &job.finished_s}) {
    *number = row.integer(column++);
  }
  return job;
}

void insert_event(io::Database& database, const std::string& job, const TuningEvent& event) {
  database
      .prepare(
          "INSERT INTO tuning_events (id, job, created_s, level, type, message, data) "
          "VALUES (?, ?, ?, ?, ?, ?, ?)")
      .bind(event.id)
      .bind(job)
      .bind(event.created_s)
      .bind(event.level)
      .bind(event.type)
      .bind(event.message)
      .bind(event.data)
      .run();
}

void update_progress(io::Database& database, const TuningJob& job) {
  database
      .prepare(
          "UPDATE tuning_jobs SET last_step = ?, last_validation_step = ?, trained_tokens = ?, "
          "attempts = ? WHERE id = ?")
      .bind(job.last_step)
      .bind(job.last_validation_step)
      .bind(job.trained_tokens)
      .bind(job.attempts)
      .bind(job.id)
      .run();
}

}  // namespace

bool is_over(const TuningJob& job) {
  using namespace job_status;
  return job.status == kSucceeded || job.status == kFailed || job.status == kCancelled;
}

void TuningStore::add(const TuningJob& job, const TuningEvent& event) {
  state_.write([&](io::Database& database) {
    database
        .prepare(
            "INSERT INTO tuning_jobs (id, project, owner, api_key, model, base, training_file, "
            "validation_file, method, hyperparameters, suffix, seed, metadata, status, created_s) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(job.id)
        .bind(job.project)
        .bind(job.owner)
        .bind(job.api_key)
        .bind(job.model)
        .bind(job.base)
        .bind(job.training_file)
        .bind(job.validation_file)
        .bind(job.method)
        .bind(job.hyperparameters)
        .bind(job.suffix)
        .bind(job.seed)
        .bind(job.metadata)
        .bind(job.status)
        .bind(job.created_s)
        .run();
    insert_event(database, job.id, event);
  });
}

std::optional<TuningJob> TuningStore::find(const std::string& id) {
  return state_.read([&](io::Database& database) -> std::optional<TuningJob> {
    auto row =
        database.prepare(fmt::format("SELECT {} FROM tuning_jobs WHERE id = ?", kTuningColumns));
    row.bind(id);
    if (!row.step()) return std::nullopt;
    return job_of(row);
  });
}

std::optional<TuningJob> TuningStore::find(const std::string& id, const std::string& project) {
  auto job = find(id);
  if (job && job->project != project) return std::nullopt;
  return job;
}

Listed<TuningJob> TuningStore::list(
    const std::string& project, const Page& page,
    const std::vector<std::pair<std::string, std::string>>& metadata) {
  return state_.read([&](io::Database& database) {
    PagedQuery query(database, "tuning_jobs", kTuningColumns, page);
    if (!project.empty()) query.where_equal("project", project);
    for (const auto& [key, value] : metadata) {
      query.where("json_extract(metadata, '$.' || json_quote(?)) = ?", {key, value});
    }
    return query.collect<TuningJob>(job_of);
  });
}

std::vector<TuningJob> TuningStore::with_status(const std::string& status) {
  return state_.read([&](io::Database& database) {
    PagedQuery query(database, "tuning_jobs", kTuningColumns, {{}, PagedQuery::kAll, true});
    query.where_equal("status", status);
    return query.collect<TuningJob>(job_of).entries;
  });
}

int64_t TuningStore::unfinished_of(const std::string& project) {
  return state_.read([&](io::Database& database) {
    auto row = database.prepare(
        "SELECT count(*) FROM tuning_jobs WHERE project = ? AND status NOT IN ('succeeded', "
        "'failed', 'cancelled')");
    row.bind(project);
    return row.step() ? row.integer(0) : 0;
  });
}

bool TuningStore::move(const std::string& id, const std::vector<std::string>& from, const char* to,
                       int64_t now_s, const TuningEvent& event) {
  using namespace job_status;
  return state_.write([&](io::Database& database) {
    auto row = database.prepare("SELECT status FROM tuning_jobs WHERE id = ?");
    row.bind(id);
    if (!row.step()) return false;
    const std::string now = row.text(0);
    bool fits = false;
    for (const std::string& status : from) fits = fits || status == now;
    if (!fits) return false;
    database.prepare("UPDATE tuning_jobs SET status = ? WHERE id = ?").bind(to).bind(id).run();
    const std::string target = to;
    if (target == kRunning) {
      database.prepare("UPDATE tuning_jobs SET started_s = ? WHERE id = ? AND started_s = 0")
          .bind(now_s)
          .bind(id)
          .run();
    }
    if (target == kCancelled) {
      database.prepare("UPDATE tuning_jobs SET finished_s = ? WHERE id = ?")
          .bind(now_s)
          .bind(id)
          .run();
    }
    insert_event(database, id, event);
    return true;
  });
}

void TuningStore::files_are_good(const TuningJob& job, const TuningEvent& event) {
  state_.write([&](io::Database& database) {
    database
        .prepare(
            "UPDATE tuning_jobs SET status = ?, hyperparameters = ?, examples = ?, steps = ? "
            "WHERE id = ? AND status = ?")
        .bind(job_status::kQueued)
        .bind(job.hyperparameters)
        .bind(job.examples)
        .bind(job.steps)
        .bind(job.id)
        .bind(job_status::kValidating)
        .run();
    if (database.changes() > 0) insert_event(database, job.id, event);
  });
}

void TuningStore::fail(const std::string& id, const std::string& error, int64_t now_s,
                       const TuningEvent& event) {
  state_.write([&](io::Database& database) {
    database
        .prepare(
            "UPDATE tuning_jobs SET status = 'failed', error = ?, finished_s = ? WHERE id = ? AND "
            "status IN ('validating_files', 'queued', 'running')")
        .bind(error)
        .bind(now_s)
        .bind(id)
        .run();
    if (database.changes() > 0) insert_event(database, id, event);
  });
}

void TuningStore::note_attempt(const std::string& id, int64_t attempts) {
  state_.write([&](io::Database& database) {
    database.prepare("UPDATE tuning_jobs SET attempts = ? WHERE id = ?")
        .bind(attempts)
        .bind(id)
        .run();
  });
}

void TuningStore::progress(const TuningJob& job, const std::vector<TuningEvent>& events) {
  state_.write([&](io::Database& database) {
    update_progress(database, job);
    for (const TuningEvent& event : events) insert_event(database, job.id, event);
  });
}

void TuningStore::succeed(const TuningJob& job, const ShelvedAdapter& adapter,
                          const StoredFile& results, const std::vector<TuningEvent>& events) {
  state_.write([&](io::Database& database) {
    AdapterShelf::insert(database, adapter);
    FileStore::insert(database, results);
    database
        .prepare(
            "UPDATE tuning_jobs SET status = 'succeeded', fine_tuned_model = ?, result_file = ?, "
            "finished_s = ? WHERE id = ?")
        .bind(job.fine_tuned_model)
        .bind(job.result_file)
        .bind(job.finished_s)
        .bind(job.id)
        .run();
    for (const TuningEvent& event : events) insert_event(database, job.id, event);
  });
}

Listed<TuningEvent> TuningStore::events(const std::string& job, const Page& page) {
  return state_.read([&](io::Database& database) {
    PagedQuery query(database, "tuning_events", "id, created_s, level, type, message, data", page);
    query.where_equal("job", job);
    return query.collect<TuningEvent>([](io::Statement& row) {
      return TuningEvent{row.text(0), row.integer(1), row.text(2),
                         row.text(3), row.text(4),    row.text(5)};
    });
  });
}

}  // namespace hearth::serve
