// Everything about a server that is not its model.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "serve/adapter_registry.h"
#include "serve/api_keys.h"
#include "transport/http_server.h"

namespace hearth::serve {

// A file of the web page, alive as long as the server.
struct StaticFile {
  std::string path;  // "/assets/app.js"; "/index.html" also answers "/"
  std::string content_type;
  std::string_view bytes;
};

// The content type for a file name.
std::string content_type_of(std::string_view path);

struct AdapterOptions {
  // How many are served.
  AdapterRegistry::Limits limits{};
  // A folder of adapters: each folder in it is served under its name, to everybody; one in a folder
  // "@TENANT" in it, to that tenant. Watched; the API loads from nowhere else. Empty: none.
  std::string folder;
};

struct ServerOptions {
  // Address, port, threads and HTTP limits.
  transport::HttpServerOptions http{};
  // Threads for parsing, templates, detokenisation and JSON.
  int workers = 2;
  // Folder of the database of stored responses; empty keeps them in memory.
  std::string data_dir;
  // Who may call; empty lets everybody.
  std::vector<ApiKey> api_keys;
  // Who may also see and change what belongs to others.
  std::vector<ApiKey> admin_keys;
  // Origins of web pages elsewhere that may call ("*" for all); empty: CORS off.
  std::vector<std::string> cors_origins;
  // Requests of one tenant that run or wait at once; more are answered 429. 0: no limit.
  int32_t tenant_requests_max = 0;
  // Adapters that are served besides the model.
  AdapterOptions adapters{};
  // What Retry-After tells, in seconds.
  int32_t retry_after_s = 1;
  // How long stop() waits for running requests.
  int64_t drain_ms = 60'000;
  // The web page, if there is one.
  std::vector<StaticFile> web;
  // Told by /version.
  std::string version = "0.0.0";
  // Stored responses that are kept; the oldest go first.
  int64_t stored_responses_max = 10'000;
  // Seed of ids; 0: from the operating system. Tests set it.
  uint64_t id_seed = 0;
};

}  // namespace hearth::serve
