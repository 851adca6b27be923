// What an admin does to tenants and keys, with a line in the audit log for each: behind the API and
// behind `hearth tenants` and `hearth keys`.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "io/json_fwd.h"
#include "serve/ids.h"
#include "serve/tenants/audit_log.h"
#include "serve/tenants/tenant_store.h"

namespace hearth::serve {

struct Call;

struct KeyWish {
  std::string project;  // a name; empty: an admin's key
  std::string name;
  std::vector<std::string> scopes;  // empty: all
  int64_t expires_s = 0;            // 0: never
};

struct NewKey {
  StoredKey key;
  std::string secret;  // shown once
};

class Administration {
 public:
  // `actor`: the id of a key, or "cli". Everything outlives this.
  Administration(State& state, Ids& ids, const Clock& clock, std::string actor);

  // Throws Error{kNotFound}.
  Project find(const std::string& id_or_name);
  Project add_project(const std::string& name, const TenantLimits& limits);
  Project set_limits(const std::string& id_or_name, const TenantLimits& limits);
  Project archive(const std::string& id_or_name);
  // Throws Error naming the scope that there is not.
  NewKey add_key(const KeyWish& wish);
  // Of that project, or of the admins where it is empty. Throws Error{kNotFound}.
  void remove_key(const std::string& project, const std::string& id);
  void note(const std::string& type, const std::string& project, const std::string& object,
            const io::Json& details);

 private:
  int64_t now_s() const { return clock_.wall() / kSecond; }

  TenantStore store_;
  AuditLog audit_;
  Ids& ids_;
  const Clock& clock_;
  const std::string actor_;
};

// In the name of the key that calls.
Administration administration(Call& call);

}  // namespace hearth::serve
