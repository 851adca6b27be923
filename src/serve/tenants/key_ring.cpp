#include "serve/tenants/key_ring.h"

#include <algorithm>
#include <map>

#include "serve/ids.h"
#include "serve/state/state.h"

namespace hearth::serve {

// Never changed once it is shown.
struct KeyRing::Snapshot {
  bool open = true;                            // nobody has a key of a tenant
  bool unmanaged = true;                       // nobody has an admin's
  std::multimap<std::string, StoredKey> keys;  // by what they begin with
  std::map<std::string, Project> projects;     // by name
};

const std::vector<std::string>& known_scopes() {
  static const std::vector<std::string> scopes = {"inference",   "files",    "batches",
                                                  "fine_tuning", "adapters", "usage"};
  return scopes;
}

bool may(const Caller& caller, std::string_view scope) {
  return scope.empty() || caller.scopes.empty() ||
         std::find(caller.scopes.begin(), caller.scopes.end(), scope) != caller.scopes.end();
}

KeyRing::KeyRing(State& state, TenantStore& store, std::vector<ApiKey> flags,
                 std::vector<ApiKey> admins, int64_t now_s)
    : state_(state), store_(store), flags_(std::move(flags)), admins_(std::move(admins)) {
  // Whoever may call has a project, with limits that can be set.
  Ids ids(secret_seed());
  std::vector<std::string> names = {Tenant{}.name};
  for (const ApiKey& key : flags_) names.push_back(key.name);
  for (const std::string& name : names) {
    if (is_tenant_name(name) && !store_.find(name))
      store_.add({0, ids.make("proj_"), name, now_s, 0, {}});
  }
  seen_version_ = state_.foreign_version();
  reload();
}

void KeyRing::reload() {
  auto next = std::make_shared<Snapshot>();
  for (Project& project : store_.all()) {
    const std::string name = project.name;
    next->projects.emplace(name, std::move(project));
  }
  for (StoredKey& key : store_.all_keys()) {
    const std::string prefix = key.prefix;
    next->keys.emplace(prefix, std::move(key));
  }
  const auto has = [&](Role role) {
    return std::any_of(next->keys.begin(), next->keys.end(),
                       [&](const auto& entry) { return entry.second.role == role; });
  };
  next->open = flags_.empty() && !has(Role::kTenant);
  next->unmanaged = admins_.empty() && !has(Role::kAdmin);
  const std::lock_guard lock(mutex_);
  snapshot_ = std::move(next);
}

void KeyRing::tick(int64_t now_s) {
  std::vector<std::string> used;
  {
    const std::lock_guard lock(mutex_);
    used.swap(used_);
  }
  for (const std::string& id : used) store_.note_use(id, now_s);
  const int64_t version = state_.foreign_version();
  if (version == seen_version_) return;
  seen_version_ = version;
  reload();
}

std::shared_ptr<const KeyRing::Snapshot> KeyRing::snapshot() const {
  const std::lock_guard lock(mutex_);
  return snapshot_;
}

bool KeyRing::open() const { return snapshot()->open; }

void KeyRing::fill(Caller& caller, const Snapshot& now, const std::string& project) const {
  caller.tenant.name = project;
  const auto found = now.projects.find(project);
  if (found == now.projects.end()) return;
  caller.limits = found->second.limits;
  caller.tenant.cache_salt = cache_salt_of(found->second.id);
}

std::optional<Caller> KeyRing::identify(std::string_view key, int64_t now_s) {
  const auto now = snapshot();
  Caller caller;
  for (const auto* flags : {&admins_, &flags_}) {
    const auto tenant = find_tenant(*flags, key);
    if (!tenant) continue;
    caller.key_id = "flag:" + tenant->name;
    caller.role = flags == &admins_ ? Role::kAdmin : Role::kTenant;
    fill(caller, *now, caller.role == Role::kAdmin ? Tenant{}.name : tenant->name);
    const auto project = now->projects.find(caller.tenant.name);
    if (project != now->projects.end() && project->second.archived_s > 0) return std::nullopt;
    return caller;
  }
  const auto [begin, end] = now->keys.equal_range(std::string(key_prefix(key)));
  for (auto at = begin; at != end; ++at) {
    const StoredKey& stored = at->second;
    if (!is_key({stored.name, stored.salt, stored.hash}, key)) continue;
    if (stored.expires_s > 0 && stored.expires_s <= now_s) return std::nullopt;
    const bool admin = stored.role == Role::kAdmin;
    fill(caller, *now, admin ? Tenant{}.name : stored.project);
    const auto project = now->projects.find(caller.tenant.name);
    const bool archived = project != now->projects.end() && project->second.archived_s > 0;
    if (!admin && archived) return std::nullopt;
    caller.key_id = stored.id;
    caller.role = stored.role;
    caller.scopes = stored.scopes;
    if (stored.last_used_s + 60 <= now_s) {
      const std::lock_guard lock(mutex_);
      if (std::find(used_.begin(), used_.end(), stored.id) == used_.end()) {
        used_.push_back(stored.id);
      }
    }
    return caller;
  }
  if (!now->open) return std::nullopt;
  caller.key_id = "open";
  caller.role = now->unmanaged ? Role::kAdmin : Role::kTenant;
  fill(caller, *now, Tenant{}.name);
  caller.tenant.cache_salt = 0;
  return caller;
}

std::optional<Caller> KeyRing::acting_for(const Caller& admin, const std::string& project) const {
  const auto now = snapshot();
  for (const auto& [name, entry] : now->projects) {
    if (name != project && entry.id != project) continue;
    Caller caller = admin;
    fill(caller, *now, name);
    return caller;
  }
  return std::nullopt;
}

}  // namespace hearth::serve
