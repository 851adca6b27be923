// What the server remembers and does besides answering: tenants, keys, usage, files, batches, jobs.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "serve/batches/batch_runner.h"
#include "serve/batches/batch_store.h"
#include "serve/files/file_store.h"
#include "serve/server_options.h"
#include "serve/state/state.h"
#include "serve/tenants/audit_log.h"
#include "serve/tenants/gate.h"
#include "serve/tenants/key_ring.h"
#include "serve/tenants/rate_limiter.h"
#include "serve/tenants/tenant_store.h"
#include "serve/tenants/usage_store.h"
#include "serve/tuning/adapter_shelf.h"
#include "serve/tuning/tuning_runner.h"
#include "serve/tuning/tuning_store.h"

namespace hearth::serve {

struct Call;
class Query;

struct Services {
  Services(const ServerOptions& options, const Clock& clock);

  // Once a second, on a worker.
  void tick(int64_t now_s);

  State state;
  TenantStore tenants{state};
  UsageStore usage{state};
  AuditLog audit{state};
  KeyRing keys;
  RateLimiter limiter;
  const std::shared_ptr<TenantCounts> counts = std::make_shared<TenantCounts>();
  FileStore files;
  BatchStore batches{state};
  AdapterShelf shelf;
  TuningStore tuning{state};
  // Set by the service.
  std::shared_ptr<BatchRunner> batch_runner;
  std::shared_ptr<TuningRunner> tuning_runner;
};

// Whose things a list shows: the caller's, or for an admin those of ?project_id=, and of all
// (empty) with "*".
std::string listed_project(const Call& call, const Query& query);

}  // namespace hearth::serve
