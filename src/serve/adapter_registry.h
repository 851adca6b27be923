// The adapters of one base by name, and whose they are. Any thread.
//
// An adapter belongs to a tenant, or to all. For everybody else it does not exist: neither its name
// nor a request for it tells whether somebody has one.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "serve/adapter_host.h"
#include "serve/engine_loop.h"

namespace hearth::serve {

// Owner of adapters that every tenant may use.
inline constexpr const char* kEverybody = "";

struct ServedAdapter {
  engine::AdapterId id = engine::kBaseModel;
  std::string name;
  std::string owner;
  std::string folder;
  int64_t created_s = 0;
  AdapterInfo info;
};

class AdapterRegistry {
 public:
  struct Limits {
    int32_t adapters_max = 16384;  // --max-registered-loras
    int32_t tenant_adapters_max = 4096;
  };

  // `host` may be null: there are no adapters. All outlive this.
  AdapterRegistry(AdapterHost* host, EngineLoop& engine, const Clock& clock, Limits limits);

  ~AdapterRegistry();
  AdapterRegistry(const AdapterRegistry&) = delete;
  AdapterRegistry& operator=(const AdapterRegistry&) = delete;

  // Opens the adapter in a folder and serves it under `name`. Throws Error: naming file and tensor
  // where the adapter is at fault, "lora_name" where the name is, a limit where that is.
  ServedAdapter load(const std::string& owner, const std::string& name, const std::string& folder);
  // From now on nobody finds it; requests that run go on. False: the owner has none of that name.
  bool unload(const std::string& owner, const std::string& name);
  // The one that a tenant means by a name: its own, or everybody's.
  std::optional<ServedAdapter> find(const std::string& tenant, const std::string& name) const;
  // Those that a tenant may use, by name.
  std::vector<ServedAdapter> list(const std::string& tenant) const;
  // All of one owner.
  std::vector<ServedAdapter> owned_by(const std::string& owner) const;
  // Everything that is served here.
  std::vector<ServedAdapter> all() const;
  AdapterTiers tiers() const;
  AdapterTier tier_of(engine::AdapterId adapter) const;

 private:
  using Key = std::pair<std::string, std::string>;  // owner, name

  void reserve(const Key& key);

  AdapterHost* const host_;
  EngineLoop& engine_;
  const Clock& clock_;
  const Limits limits_;
  mutable std::mutex mutex_;
  // Without a value while it is being opened. Guarded by mutex_, as all below.
  std::map<Key, std::optional<ServedAdapter>> adapters_;
  engine::AdapterId next_id_ = engine::kBaseModel + 1;
};

}  // namespace hearth::serve
