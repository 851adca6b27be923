#include "serve/adapter_folder.h"

#include <filesystem>

#include "base/error.h"
#include "base/log.h"

namespace hearth::serve {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFiles[] = {"adapter_config.json", "adapter_model.safetensors"};

// 0: not an adapter, or not yet.
int64_t stamp_of(const fs::path& folder) {
  uint64_t stamp = 1;
  for (const char* name : kFiles) {
    std::error_code error;
    const uintmax_t bytes = fs::file_size(folder / name, error);
    if (error) return 0;
    const auto written = fs::last_write_time(folder / name, error).time_since_epoch().count();
    if (error) return 0;
    stamp = stamp * 1'000'003u + static_cast<uint64_t>(bytes);
    stamp = stamp * 1'000'003u + static_cast<uint64_t>(written);
  }
  return static_cast<int64_t>(stamp | 1u);
}

}  // namespace

std::string folder_inside(const std::string& root, const std::string& tenant,
                          const std::string& path) {
  if (root.empty()) return {};
  const fs::path base = fs::weakly_canonical(root);
  const fs::path folder = fs::weakly_canonical(base / path);
  const fs::path inside = folder.lexically_relative(base);
  const std::string first = inside.empty() ? ".." : inside.begin()->string();
  const bool foreign = first.starts_with('@') && first != "@" + tenant;
  if (first == ".." || first == "." || foreign || !fs::is_directory(folder)) return {};
  return folder.string();
}

AdapterFolder::AdapterFolder(std::string folder, AdapterRegistry& registry)
    : folder_(std::move(folder)), registry_(registry) {
  if (!folder_.empty() && !fs::is_directory(folder_)) {
    throw_error(ErrorCode::kNotFound, "--lora-dir", "there is no folder '{}'", folder_);
  }
}

void AdapterFolder::look_at_start() {
  if (folder_.empty()) return;
  find_in(folder_, kEverybody, known_);
  for (auto& [key, known] : known_) take(key, known);
  log::info("adapters found folder={} count={}", folder_, known_.size());
}

void AdapterFolder::look() {
  if (folder_.empty()) return;
  std::map<Key, Known> found;
  find_in(folder_, kEverybody, found);
  drop_missing(found);
  for (auto& [key, now] : found) {
    const auto [at, is_new] = known_.try_emplace(key, now);
    Known& known = at->second;
    if (is_new) continue;
    if (known.stamp != now.stamp) {
      if (known.state == State::kServed) registry_.unload(key.first, key.second);
      known = now;
    } else if (known.state == State::kSeen) {
      take(key, known);
    }
  }
}

void AdapterFolder::find_in(const std::string& folder, const std::string& owner,
                            std::map<Key, Known>& found) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    std::error_code ignored;
    if (!entry.is_directory(ignored)) continue;
    const std::string name = entry.path().filename().string();
    if (owner == kEverybody && name.size() > 1 && name[0] == '@') {
      find_in(entry.path().string(), name.substr(1), found);
      continue;
    }
    const int64_t stamp = stamp_of(entry.path());
    if (stamp != 0) found[{owner, name}] = {entry.path().string(), stamp, State::kSeen};
  }
  if (error) log::warn("adapters not listed folder={} error=\"{}\"", folder, error.message());
}

void AdapterFolder::take(const Key& key, Known& known) {
  try {
    registry_.load(key.first, key.second, known.folder);
    known.state = State::kServed;
  } catch (const Error& failure) {
    known.state = State::kRefused;
    log::warn("adapter refused folder={} where={} error=\"{}\"", known.folder, failure.where,
              failure.text);
  }
}

void AdapterFolder::drop_missing(const std::map<Key, Known>& found) {
  for (auto at = known_.begin(); at != known_.end();) {
    if (found.contains(at->first)) {
      ++at;
      continue;
    }
    if (at->second.state == State::kServed) registry_.unload(at->first.first, at->first.second);
    at = known_.erase(at);
  }
}

}  // namespace hearth::serve
