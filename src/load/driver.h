// Drives an OpenAI-compatible server with a workload and records when each token came.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "load/report.h"
#include "load/workload.h"
#include "transport/http_client.h"

namespace hearth::load {

enum class Endpoint { kCompletions, kChat };

struct DriverOptions {
  std::string url = "http://127.0.0.1:8000";   // without /v1
  std::string model;                           // as /v1/models names it
  std::string api_key;                         // empty: none is sent
  Endpoint endpoint = Endpoint::kCompletions;  // which route is driven
  int32_t concurrency_max = 256;               // connections at once
  double temperature = 0;                      // of every request
  uint64_t seed = 0;                           // of the prompts' words
};

using MakeClient = std::function<std::unique_ptr<transport::HttpClient>()>;
using OnProgress = std::function<void(size_t done, size_t total)>;

// The first model that the server lists. Throws Error when it does not answer or has none.
std::string first_model(transport::HttpClient& client, const DriverOptions& options);

// Sends every request at its time, over as many threads as connections; on_progress is called under
// a lock. Prompts are plain words, one token each in most vocabularies; the report uses the
// server's own counts.
std::vector<RequestRecord> drive(const std::vector<PlannedRequest>& plan,
                                 const DriverOptions& options, const MakeClient& make_client,
                                 const Clock& clock, const OnProgress& on_progress);

}  // namespace hearth::load
