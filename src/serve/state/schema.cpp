#include "serve/state/schema.h"

namespace hearth::serve {
namespace {

// Times are seconds since 1970; 0: not yet, or never. `project` is the name of a tenant.
constexpr io::Migration kSteps[] = {
    {1, R"(
CREATE TABLE projects (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL UNIQUE,
  created_s INTEGER NOT NULL,
  archived_s INTEGER NOT NULL DEFAULT 0,
  requests_per_minute INTEGER NOT NULL DEFAULT 0,
  tokens_per_minute INTEGER NOT NULL DEFAULT 0,
  tokens_per_day INTEGER NOT NULL DEFAULT 0,
  requests_at_once INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE api_keys (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  project TEXT NOT NULL,
  name TEXT NOT NULL,
  role TEXT NOT NULL,
  scopes TEXT NOT NULL,
  prefix TEXT NOT NULL,
  tail TEXT NOT NULL,
  salt TEXT NOT NULL,
  hash TEXT NOT NULL,
  created_s INTEGER NOT NULL,
  expires_s INTEGER NOT NULL,
  last_used_s INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE usage (
  minute_s INTEGER NOT NULL,
  project TEXT NOT NULL,
  api_key TEXT NOT NULL,
  model TEXT NOT NULL,
  adapter TEXT NOT NULL,
  source TEXT NOT NULL,
  requests INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL,
  generated_tokens INTEGER NOT NULL,
  PRIMARY KEY (minute_s, project, api_key, model, adapter, source)
) STRICT, WITHOUT ROWID;
CREATE TABLE audit (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  at_s INTEGER NOT NULL,
  type TEXT NOT NULL,
  actor TEXT NOT NULL,
  project TEXT NOT NULL,
  object TEXT NOT NULL,
  details TEXT NOT NULL
) STRICT;
CREATE TABLE files (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  project TEXT NOT NULL,
  filename TEXT NOT NULL,
  purpose TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  created_s INTEGER NOT NULL,
  expires_s INTEGER NOT NULL
) STRICT;
CREATE INDEX files_of_project ON files (project, number);
CREATE TABLE adapters (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  owner TEXT NOT NULL,
  name TEXT NOT NULL,
  folder TEXT NOT NULL,
  source TEXT NOT NULL,
  created_s INTEGER NOT NULL,
  UNIQUE (owner, name)
) STRICT;
CREATE TABLE batches (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  project TEXT NOT NULL,
  api_key TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  input_file TEXT NOT NULL,
  completion_window TEXT NOT NULL,
  status TEXT NOT NULL,
  metadata TEXT NOT NULL,
  errors TEXT NOT NULL DEFAULT '',
  output_file TEXT NOT NULL DEFAULT '',
  error_file TEXT NOT NULL DEFAULT '',
  output_expires_after_s INTEGER NOT NULL DEFAULT 0,
  total INTEGER NOT NULL DEFAULT 0,
  completed INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,
  prompt_tokens INTEGER NOT NULL DEFAULT 0,
  cached_tokens INTEGER NOT NULL DEFAULT 0,
  generated_tokens INTEGER NOT NULL DEFAULT 0,
  created_s INTEGER NOT NULL,
  expires_s INTEGER NOT NULL,
  in_progress_s INTEGER NOT NULL DEFAULT 0,
  finalizing_s INTEGER NOT NULL DEFAULT 0,
  completed_s INTEGER NOT NULL DEFAULT 0,
  failed_s INTEGER NOT NULL DEFAULT 0,
  expired_s INTEGER NOT NULL DEFAULT 0,
  cancelling_s INTEGER NOT NULL DEFAULT 0,
  cancelled_s INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX batches_of_project ON batches (project, number);
CREATE INDEX batches_by_status ON batches (status);
CREATE TABLE batch_items (
  batch TEXT NOT NULL,
  line INTEGER NOT NULL,
  custom_id TEXT NOT NULL,
  begin INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  status INTEGER NOT NULL DEFAULT 0,
  answer TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (batch, line)
) STRICT, WITHOUT ROWID;
CREATE TABLE tuning_jobs (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  project TEXT NOT NULL,
  owner TEXT NOT NULL,
  api_key TEXT NOT NULL,
  model TEXT NOT NULL,
  base TEXT NOT NULL,
  training_file TEXT NOT NULL,
  validation_file TEXT NOT NULL,
  method TEXT NOT NULL,
  hyperparameters TEXT NOT NULL,
  suffix TEXT NOT NULL,
  seed INTEGER NOT NULL,
  metadata TEXT NOT NULL,
  status TEXT NOT NULL,
  error TEXT NOT NULL DEFAULT '',
  fine_tuned_model TEXT NOT NULL DEFAULT '',
  result_file TEXT NOT NULL DEFAULT '',
  examples INTEGER NOT NULL DEFAULT 0,
  steps INTEGER NOT NULL DEFAULT 0,
  last_step INTEGER NOT NULL DEFAULT 0,
  last_validation_step INTEGER NOT NULL DEFAULT -1,
  trained_tokens INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0,
  created_s INTEGER NOT NULL,
  started_s INTEGER NOT NULL DEFAULT 0,
  finished_s INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX tuning_jobs_of_project ON tuning_jobs (project, number);
CREATE TABLE tuning_events (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  job TEXT NOT NULL,
  created_s INTEGER NOT NULL,
  level TEXT NOT NULL,
  type TEXT NOT NULL,
  message TEXT NOT NULL,
  data TEXT NOT NULL
) STRICT;
CREATE INDEX tuning_events_of_job ON tuning_events (job, number);
)"},
    {2, R"(
ALTER TABLE usage ADD COLUMN micro_ptu_minutes INTEGER NOT NULL DEFAULT 0;
)"},
};

}  // namespace

std::span<const io::Migration> schema_steps() { return kSteps; }

}  // namespace hearth::serve
