// Tenants and their keys, as they are remembered. A tenant is what OpenAI's API calls a project;
// its name never changes, and everything that belongs to it is marked with that name. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "serve/state/page.h"

namespace hearth::serve {

class State;

// What one tenant may use. 0: no limit.
struct TenantLimits {
  int64_t requests_per_minute = 0;  // requests for text or vectors
  int64_t tokens_per_minute = 0;    // prompt and generated
  int64_t tokens_per_day = 0;       // the same, from midnight to midnight UTC
  int64_t requests_at_once = 0;     // that run or wait
};

struct Project {
  int64_t number = 0;  // the order of lists
  std::string id;      // "proj_..."
  std::string name;
  int64_t created_s = 0;
  int64_t archived_s = 0;  // 0: it is active
  TenantLimits limits;
};

enum class Role : uint8_t { kTenant, kAdmin };

const char* to_string(Role role);

// Of a key only a salted hash is kept, and of its text the two ends.
struct StoredKey {
  int64_t number = 0;
  std::string id;       // "key_..."
  std::string project;  // empty: an admin's
  std::string name;
  Role role = Role::kTenant;
  std::vector<std::string> scopes;  // empty: all
  std::string prefix;               // what it begins with
  std::string tail;                 // and ends with
  std::string salt;                 // bytes
  std::string hash;                 // bytes
  int64_t created_s = 0;
  int64_t expires_s = 0;  // 0: never
  int64_t last_used_s = 0;
};

class TenantStore {
 public:
  explicit TenantStore(State& state) : state_(state) {}

  // Throws Error{kInvalidArgument, "name"} when the name is no name or is taken.
  void add(const Project& project);
  // By id or name.
  std::optional<Project> find(const std::string& id_or_name);
  enum class Archived : uint8_t { kLeaveOut, kInclude };
  Listed<Project> list(const Page& page, Archived archived);
  std::vector<Project> all();
  void set_limits(const std::string& name, const TenantLimits& limits);
  void archive(const std::string& name, int64_t now_s);

  void add_key(const StoredKey& key);
  std::optional<StoredKey> find_key(const std::string& id);
  // Of one project, or the admins'.
  Listed<StoredKey> list_keys(const std::string& project, const Page& page);
  std::vector<StoredKey> all_keys();
  // False when there was none.
  bool remove_key(const std::string& id);
  void note_use(const std::string& key_id, int64_t now_s);

 private:
  State& state_;
};

// Letters, digits and any of - _ . ; at most 64.
bool is_tenant_name(const std::string& name);

}  // namespace hearth::serve
