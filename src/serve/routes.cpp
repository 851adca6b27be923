// The table of routes, in the order of docs/api.md.
#include "serve/app.h"

namespace hearth::serve {

std::vector<Route> all_routes() {
  constexpr Access kOpen = Access::kOpen;
  constexpr Access kKey = Access::kKey;
  constexpr Access kAdmin = Access::kAdmin;
  constexpr Place kIo = Place::kIo;
  constexpr Place kWorker = Place::kWorker;
  constexpr Place kBackground = Place::kBackground;
  constexpr Work kNone = Work::kNone;
  constexpr Work kEngine = Work::kEngine;
  return {
      {"POST", "/v1/chat/completions", chat_completions, kKey, kWorker, kEngine, "inference"},
      {"POST", "/v1/completions", completions, kKey, kWorker, kEngine, "inference"},
      {"POST", "/v1/responses", create_response, kKey, kWorker, kEngine, "inference"},
      {"GET", "/v1/responses/{id}", get_response, kKey, kWorker, kNone, "inference"},
      {"DELETE", "/v1/responses/{id}", delete_response, kKey, kWorker, kNone, "inference"},
      {"POST", "/v1/messages", messages, kKey, kWorker, kEngine, "inference"},
      {"POST", "/v1/messages/count_tokens", count_message_tokens, kKey, kWorker, kNone,
       "inference"},
      {"POST", "/v1/embeddings", embeddings, kKey, kWorker, kEngine, "inference"},
      {"GET", "/v1/models", list_models, kKey, kIo},
      {"GET", "/v1/models/{id}", get_model, kKey, kIo},
      {"DELETE", "/v1/models/{id}", delete_model, kKey, kWorker, kNone, "adapters"},
      {"POST", "/v1/adapters", create_adapter, kKey, kBackground, kNone, "adapters"},
      {"GET", "/v1/adapters", list_adapters, kKey, kWorker, kNone, "adapters"},
      {"DELETE", "/v1/adapters/{id}", delete_adapter, kKey, kWorker, kNone, "adapters"},
      {"POST", "/v1/load_lora_adapter", load_lora_adapter, kKey, kWorker, kNone, "adapters"},
      {"POST", "/v1/unload_lora_adapter", unload_lora_adapter, kKey, kWorker, kNone, "adapters"},
      {"GET", "/v1/deployments", list_deployments, kKey, kIo},
      {"POST", "/v1/deployments", create_deployment, kAdmin},
      {"GET", "/v1/deployments/{id}", get_deployment, kKey, kIo},
      {"POST", "/v1/deployments/{id}", modify_deployment, kAdmin},
      {"PATCH", "/v1/deployments/{id}", modify_deployment, kAdmin},
      {"DELETE", "/v1/deployments/{id}", delete_deployment, kAdmin},
      {"POST", "/tokenize", tokenize, kKey, kWorker, kNone, "inference"},
      {"POST", "/detokenize", detokenize, kKey, kWorker, kNone, "inference"},
      {"POST", "/v1/files", create_file, kKey, kBackground, kNone, "files"},
      {"GET", "/v1/files", list_files, kKey, kWorker, kNone, "files"},
      {"GET", "/v1/files/{id}", get_file, kKey, kWorker, kNone, "files"},
      {"DELETE", "/v1/files/{id}", delete_file, kKey, kWorker, kNone, "files"},
      {"GET", "/v1/files/{id}/content", get_file_content, kKey, kWorker, kNone, "files"},
      {"POST", "/v1/batches", create_batch, kKey, kWorker, kNone, "batches"},
      {"GET", "/v1/batches", list_batches, kKey, kWorker, kNone, "batches"},
      {"GET", "/v1/batches/{id}", get_batch, kKey, kWorker, kNone, "batches"},
      {"POST", "/v1/batches/{id}/cancel", cancel_batch, kKey, kWorker, kNone, "batches"},
      {"POST", "/v1/fine_tuning/jobs", create_tuning_job, kKey, kWorker, kNone, "fine_tuning"},
      {"GET", "/v1/fine_tuning/jobs", list_tuning_jobs, kKey, kWorker, kNone, "fine_tuning"},
      {"GET", "/v1/fine_tuning/jobs/{id}", get_tuning_job, kKey, kWorker, kNone, "fine_tuning"},
      {"POST", "/v1/fine_tuning/jobs/{id}/cancel", cancel_tuning_job, kKey, kWorker, kNone,
       "fine_tuning"},
      {"POST", "/v1/fine_tuning/jobs/{id}/pause", pause_tuning_job, kKey, kWorker, kNone,
       "fine_tuning"},
      {"POST", "/v1/fine_tuning/jobs/{id}/resume", resume_tuning_job, kKey, kWorker, kNone,
       "fine_tuning"},
      {"GET", "/v1/fine_tuning/jobs/{id}/events", list_tuning_events, kKey, kWorker, kNone,
       "fine_tuning"},
      {"GET", "/v1/fine_tuning/jobs/{id}/checkpoints", list_tuning_checkpoints, kKey, kWorker,
       kNone, "fine_tuning"},
      {"GET", "/v1/organization/projects", list_projects, kAdmin},
      {"POST", "/v1/organization/projects", create_project, kAdmin},
      {"GET", "/v1/organization/projects/{project}", get_project, kAdmin},
      {"POST", "/v1/organization/projects/{project}", modify_project, kAdmin},
      {"POST", "/v1/organization/projects/{project}/archive", archive_project, kAdmin},
      {"GET", "/v1/organization/projects/{project}/rate_limits", list_rate_limits, kAdmin},
      {"POST", "/v1/organization/projects/{project}/rate_limits/{id}", modify_rate_limit, kAdmin},
      {"GET", "/v1/organization/projects/{project}/api_keys", list_api_keys, kAdmin},
      {"POST", "/v1/organization/projects/{project}/api_keys", create_api_key, kAdmin},
      {"GET", "/v1/organization/projects/{project}/api_keys/{id}", get_api_key, kAdmin},
      {"DELETE", "/v1/organization/projects/{project}/api_keys/{id}", delete_api_key, kAdmin},
      {"GET", "/v1/organization/admin_api_keys", list_admin_api_keys, kAdmin},
      {"POST", "/v1/organization/admin_api_keys", create_admin_api_key, kAdmin},
      {"GET", "/v1/organization/admin_api_keys/{id}", get_admin_api_key, kAdmin},
      {"DELETE", "/v1/organization/admin_api_keys/{id}", delete_admin_api_key, kAdmin},
      {"GET", "/v1/organization/usage/completions", usage_of_completions, kKey, kWorker, kNone,
       "usage"},
      {"GET", "/v1/organization/audit_logs", list_audit_logs, kAdmin},
      {"GET", "/v1/hearth/whoami", whoami, kKey},
      {"GET", "/v1/hearth/stats", stats, kKey, kIo},
      {"GET", "/v1/hearth/status", status, kKey, kIo},
      {"GET", "/health", health, kOpen, kIo},
      {"GET", "/ready", ready, kOpen, kIo},
      {"GET", "/version", version, kOpen, kIo},
      {"GET", "/metrics", metrics, kOpen, kIo},
  };
}

}  // namespace hearth::serve
