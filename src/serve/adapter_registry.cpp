#include "serve/adapter_registry.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "base/log.h"

namespace hearth::serve {
namespace {

constexpr size_t kAdapterNameBytesMax = 256;

bool is_name(std::string_view name) {
  constexpr std::string_view kMarks = "-_.:@+";
  return !name.empty() && name.size() <= kAdapterNameBytesMax &&
         std::all_of(name.begin(), name.end(), [&](unsigned char c) {
           return std::isalnum(c) || kMarks.find(static_cast<char>(c)) != std::string_view::npos;
         });
}

}  // namespace

const char* to_string(AdapterTier tier) {
  constexpr const char* kNames[] = {"memory", "mapped", "stored"};
  return kNames[static_cast<int>(tier)];
}

AdapterRegistry::AdapterRegistry(AdapterHost* host, EngineLoop& engine, const Clock& clock,
                                 Limits limits)
    : host_(host), engine_(engine), clock_(clock), limits_(limits) {
  if (host_ == nullptr) return;
  host_->tell([this](engine::AdapterId id, const std::string& error) {
    engine_.adapter_loaded(id, error);
  });
}

AdapterRegistry::~AdapterRegistry() {
  if (host_ != nullptr) host_->tell({});
}

void AdapterRegistry::reserve(const Key& key) {
  const std::lock_guard lock(mutex_);
  if (std::ssize(adapters_) >= limits_.adapters_max) {
    throw_error(ErrorCode::kTooLarge, "lora_name",
                "max_registered_loras = {} adapters are served already", limits_.adapters_max);
  }
  const auto own = [&](const auto& entry) { return entry.first.first == key.first; };
  if (key.first != kEverybody &&
      std::count_if(adapters_.begin(), adapters_.end(), own) >= limits_.tenant_adapters_max) {
    throw_error(ErrorCode::kResourceExhausted, "lora_name",
                "tenant_adapters_max = {} adapters of this key are served already",
                limits_.tenant_adapters_max);
  }
  if (!adapters_.try_emplace(key).second) {
    throw_error(ErrorCode::kInvalidArgument, "lora_name",
                "the adapter '{}' is served already; unload it first", key.second);
  }
}

ServedAdapter AdapterRegistry::load(const std::string& owner, const std::string& name,
                                    const std::string& folder) {
  if (host_ == nullptr) {
    throw_error(ErrorCode::kUnsupported, "lora_name",
                "this server has no memory for adapters; start it with --adapter-memory");
  }
  if (!is_name(name)) {
    throw_error(ErrorCode::kInvalidArgument, "lora_name",
                "'lora_name': expected 1 to {} letters, digits or any of - _ . : @ +",
                kAdapterNameBytesMax);
  }
  const Key key{owner, name};
  reserve(key);
  ServedAdapter adapter{engine::kBaseModel, name, owner, folder, clock_.wall() / kSecond, {}};
  try {
    {
      const std::lock_guard lock(mutex_);
      adapter.id = next_id_++;
    }
    adapter.info = host_->open(adapter.id, folder);
  } catch (...) {
    const std::lock_guard lock(mutex_);
    adapters_.erase(key);
    throw;
  }
  // The engine hears of it before anybody can name it.
  engine_.add_adapter(adapter.id, adapter.info.pages);
  log::debug("adapter loaded name={} owner={} id={} rank={} parameters={}", name,
             owner.empty() ? "*" : owner, adapter.id, adapter.info.rank, adapter.info.parameters);
  const std::lock_guard lock(mutex_);
  adapters_[key] = adapter;
  return adapter;
}

bool AdapterRegistry::unload(const std::string& owner, const std::string& name) {
  engine::AdapterId id = engine::kBaseModel;
  {
    const std::lock_guard lock(mutex_);
    const auto found = adapters_.find({owner, name});
    if (found == adapters_.end() || !found->second) return false;
    id = found->second->id;
    adapters_.erase(found);
  }
  engine_.remove_adapter(id);
  log::debug("adapter unloaded name={} owner={} id={}", name, owner.empty() ? "*" : owner, id);
  return true;
}

std::optional<ServedAdapter> AdapterRegistry::find(const std::string& tenant,
                                                   const std::string& name) const {
  const std::lock_guard lock(mutex_);
  for (const std::string& owner : {tenant, std::string(kEverybody)}) {
    const auto found = adapters_.find({owner, name});
    if (found != adapters_.end() && found->second) return found->second;
  }
  return std::nullopt;
}

std::vector<ServedAdapter> AdapterRegistry::owned_by(const std::string& owner) const {
  std::vector<ServedAdapter> found;
  const std::lock_guard lock(mutex_);
  for (auto at = adapters_.lower_bound({owner, {}}); at != adapters_.end(); ++at) {
    if (at->first.first != owner) break;
    if (at->second) found.push_back(*at->second);
  }
  return found;
}

std::vector<ServedAdapter> AdapterRegistry::list(const std::string& tenant) const {
  std::vector<ServedAdapter> found = owned_by(tenant);
  if (tenant == kEverybody) return found;
  const size_t own = found.size();
  for (ServedAdapter& shared : owned_by(kEverybody)) {
    const auto same = [&](const ServedAdapter& other) { return other.name == shared.name; };
    const auto end = found.begin() + static_cast<std::ptrdiff_t>(own);
    if (std::none_of(found.begin(), end, same)) found.push_back(std::move(shared));
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return found;
}

std::vector<ServedAdapter> AdapterRegistry::all() const {
  std::vector<ServedAdapter> found;
  const std::lock_guard lock(mutex_);
  for (const auto& [key, adapter] : adapters_) {
    if (adapter) found.push_back(*adapter);
  }
  return found;
}

AdapterTier AdapterRegistry::tier_of(engine::AdapterId adapter) const {
  return host_ == nullptr ? AdapterTier::kStored : host_->tier_of(adapter);
}

AdapterTiers AdapterRegistry::tiers() const {
  return host_ == nullptr ? AdapterTiers() : host_->tiers();
}

}  // namespace hearth::serve
