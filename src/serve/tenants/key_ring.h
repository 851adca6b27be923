// Whose key is this? The keys of the command line and those of the database, in memory, so that a
// request is looked up without a disk. Any thread.
//
// While no tenant has a key the server is open: whoever comes belongs to the tenant "default".
// While there is no admin's key either, everybody is an admin.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/api_keys.h"
#include "serve/tenants/tenant_store.h"

namespace hearth::serve {

class State;

// Who calls.
struct Caller {
  Tenant tenant;
  std::string key_id;  // "open": nobody needs one
  Role role = Role::kTenant;
  std::vector<std::string> scopes;  // empty: all
  TenantLimits limits;
};

// What a key may be limited to.
const std::vector<std::string>& known_scopes();
bool may(const Caller& caller, std::string_view scope);

class KeyRing {
 public:
  // `flags` are the keys of the command line, `admins` those of them that are admins'.
  KeyRing(State& state, TenantStore& store, std::vector<ApiKey> flags, std::vector<ApiKey> admins,
          int64_t now_s);

  // Nobody, where the key is unknown, has expired, or its project is archived.
  std::optional<Caller> identify(std::string_view key, int64_t now_s);
  // An admin acts for a tenant, by its name or id. Nobody, where there is none.
  std::optional<Caller> acting_for(const Caller& admin, const std::string& project) const;
  bool open() const;

  // After a change of this process.
  void reload();
  // Now and then: whether another process has changed the database; what keys were used.
  void tick(int64_t now_s);

 private:
  struct Snapshot;

  std::shared_ptr<const Snapshot> snapshot() const;
  void fill(Caller& caller, const Snapshot& now, const std::string& project) const;

  State& state_;
  TenantStore& store_;
  const std::vector<ApiKey> flags_, admins_;
  int64_t seen_version_ = 0;  // of the database; the thread of tick() only
  mutable std::mutex mutex_;
  std::shared_ptr<const Snapshot> snapshot_;  // guarded by mutex_
  std::vector<std::string> used_;             // likewise: ids of keys since the last tick
};

}  // namespace hearth::serve
