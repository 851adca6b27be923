#include "serve/tenants/administration.h"

#include <algorithm>
#include <fmt/ranges.h>

#include "base/error.h"
#include "io/json.h"
#include "serve/api_keys.h"
#include "serve/app.h"
#include "serve/services.h"
#include "serve/tenants/key_ring.h"

namespace hearth::serve {
namespace {

using io::Json;

constexpr size_t kKeyNameBytesMax = 256;
constexpr size_t kTailBytes = 4;

Json limits_json(const TenantLimits& limits) {
  return {{"requests_per_minute", limits.requests_per_minute},
          {"tokens_per_minute", limits.tokens_per_minute},
          {"tokens_per_day", limits.tokens_per_day},
          {"requests_at_once", limits.requests_at_once}};
}

}  // namespace

Administration::Administration(State& state, Ids& ids, const Clock& clock, std::string actor)
    : store_(state), audit_(state), ids_(ids), clock_(clock), actor_(std::move(actor)) {}

void Administration::note(const std::string& type, const std::string& project,
                          const std::string& object, const Json& details) {
  audit_.add(
      {ids_.make("audit_log-"), now_s(), type, actor_, project, object, io::dump_json(details)});
}

Project Administration::find(const std::string& id_or_name) {
  auto found = store_.find(id_or_name);
  if (!found) {
    throw_error(ErrorCode::kNotFound, "project", "there is no project '{}'", id_or_name);
  }
  return std::move(*found);
}

Project Administration::add_project(const std::string& name, const TenantLimits& limits) {
  const std::string id = ids_.make("proj_");
  store_.add({0, id, name, now_s(), 0, limits});
  note("project.created", name, id, {{"name", name}, {"limits", limits_json(limits)}});
  return find(id);
}

Project Administration::set_limits(const std::string& id_or_name, const TenantLimits& limits) {
  const Project before = find(id_or_name);
  store_.set_limits(before.name, limits);
  note("rate_limit.updated", before.name, before.id,
       {{"from", limits_json(before.limits)}, {"to", limits_json(limits)}});
  return find(before.id);
}

Project Administration::archive(const std::string& id_or_name) {
  const Project project = find(id_or_name);
  if (project.name == Tenant{}.name) {
    throw_error(ErrorCode::kInvalidArgument, "project",
                "the project '{}' cannot be archived: who has no other belongs to it",
                project.name);
  }
  if (project.archived_s == 0) {
    store_.archive(project.name, now_s());
    note("project.archived", project.name, project.id, {{"name", project.name}});
  }
  return find(project.id);
}

NewKey Administration::add_key(const KeyWish& wish) {
  if (wish.name.size() > kKeyNameBytesMax) {
    throw_error(ErrorCode::kInvalidArgument, "name", "'name': at most {} bytes", kKeyNameBytesMax);
  }
  for (const std::string& scope : wish.scopes) {
    const auto& known = known_scopes();
    if (std::find(known.begin(), known.end(), scope) == known.end()) {
      throw_error(ErrorCode::kInvalidArgument, "scopes", "'scopes': expected some of {}, got '{}'",
                  fmt::join(known, ", "), scope);
    }
  }
  NewKey made;
  made.secret = make_api_key();
  const ApiKey hashed = hash_api_key(wish.name, made.secret);
  StoredKey& key = made.key;
  key.id = ids_.make("key_");
  key.name = wish.name;
  key.role = wish.project.empty() ? Role::kAdmin : Role::kTenant;
  if (!wish.project.empty()) key.project = find(wish.project).name;
  key.scopes = wish.scopes;
  key.prefix = key_prefix(made.secret);
  key.tail = made.secret.substr(made.secret.size() - kTailBytes);
  key.salt = hashed.salt;
  key.hash = hashed.hash;
  key.created_s = now_s();
  key.expires_s = wish.expires_s;
  store_.add_key(key);
  note("api_key.created", key.project, key.id,
       {{"name", key.name},
        {"role", to_string(key.role)},
        {"scopes", key.scopes},
        {"expires_at", key.expires_s}});
  return made;
}

void Administration::remove_key(const std::string& project, const std::string& id) {
  const auto key = store_.find_key(id);
  const std::string owner = project.empty() ? std::string() : find(project).name;
  if (!key || key->project != owner) {
    throw_error(ErrorCode::kNotFound, "id", "there is no key '{}' here", id);
  }
  store_.remove_key(id);
  note("api_key.deleted", key->project, id, {{"name", key->name}});
}

Administration administration(Call& call) {
  return {call.app.services.state, call.app.ids, call.app.clock, call.caller.key_id};
}

}  // namespace hearth::serve
