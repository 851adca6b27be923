#include "serve/services.h"

#include "base/error.h"
#include "base/log.h"
#include "serve/app.h"
#include "serve/query.h"

namespace hearth::serve {

Services::Services(const ServerOptions& options, const Clock& clock)
    : state(options.data_dir),
      keys(state, tenants, options.api_keys, options.admin_keys, clock.wall() / kSecond),
      limiter(clock, [this](const std::string& tenant,
                            int64_t begin_s) { return usage.tokens_since(tenant, begin_s); }),
      files(state, options.data_dir),
      shelf(state, options.data_dir) {}

void Services::tick(int64_t now_s) {
  try {
    keys.tick(now_s);
    files.erase_expired(now_s);
    batch_runner->wake();
    tuning_runner->wake();
  } catch (const Error& error) {
    log::error("services where={} error=\"{}\"", error.where, error.text);
  }
}

std::string listed_project(const Call& call, const Query& query) {
  const auto asked = query.text("project_id");
  if (!asked || call.caller.role != Role::kAdmin) return call.tenant.name;
  if (*asked == "*") return {};
  const auto project = call.app.services.tenants.find(*asked);
  return project ? project->name : *asked;
}

}  // namespace hearth::serve
