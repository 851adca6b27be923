// Everything about a server that is not its model.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "serve/adapter_registry.h"
#include "serve/api_keys.h"
#include "transport/http_server.h"
#include "transport/static_files.h"

namespace hearth::serve {

class Trainer;

struct AdapterOptions {
  // How many are served.
  AdapterRegistry::Limits limits{};
  // A folder of adapters: each folder in it is served under its name, to everybody; one in a folder
  // "@TENANT" in it, to that tenant. Watched; the API loads from nowhere else. Empty: none.
  std::string folder;
};

// Of the services around the model.
struct ServiceLimits {
  // Of one uploaded file.
  uint64_t file_bytes_max = uint64_t{512} << 20;
  // Of all files of one project.
  int64_t project_file_bytes_max = int64_t{64} << 30;
  // Of one line of a file of requests or examples.
  int64_t line_bytes_max = int64_t{8} << 20;
  // Requests of one batch.
  int64_t batch_requests_max = 50'000;
  // Batches of one project that are not over.
  int64_t project_batches_max = 100;
  // Requests of batches in the engine at once.
  int64_t batch_requests_at_once = 16;
  // Tuning jobs of one project that are not over.
  int64_t project_jobs_max = 20;
};

struct ServerOptions {
  // Address, port, threads and HTTP limits.
  transport::HttpServerOptions http{};
  // Threads for parsing, templates, detokenisation and JSON.
  int workers = 2;
  // Folder of databases and files; empty: what fits is kept in memory, and there are no files.
  std::string data_dir;
  // Who may call, besides the keys of the database; where there is none of either, everybody may.
  std::vector<ApiKey> api_keys;
  // Who may also manage tenants, keys and limits, and see and change what belongs to others.
  std::vector<ApiKey> admin_keys;
  // Origins of web pages elsewhere that may call ("*" for all); empty: CORS off.
  std::vector<std::string> cors_origins;
  // Requests of one tenant that run or wait at once; more are answered 429. 0: no limit.
  int32_t tenant_requests_max = 0;
  // Adapters that are served besides the model.
  AdapterOptions adapters{};
  // Files, batches and tuning jobs.
  ServiceLimits services{};
  // Who trains adapters of the model; null: nobody. Outlives the server.
  Trainer* trainer = nullptr;
  // What Retry-After tells, in seconds.
  int32_t retry_after_s = 1;
  // How long stop() waits for running requests.
  int64_t drain_ms = 60'000;
  // The web page, if there is one.
  std::vector<transport::StaticFile> web;
  // Told by /version.
  std::string version = "0.0.0";
  // Stored responses that are kept; the oldest go first.
  int64_t stored_responses_max = 10'000;
  // Seed of ids; 0: from the operating system. Tests set it.
  uint64_t id_seed = 0;
};

}  // namespace hearth::serve
