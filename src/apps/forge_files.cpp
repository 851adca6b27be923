#include "apps/forge_files.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include "base/error.h"
#include "forge/core/names.h"
#include "io/file.h"
#include "io/json.h"

namespace hearth::apps {

using forge::FleetSpec;
using io::Json;

namespace {

Json to_json(const toml::node& node) {
  if (const toml::table* table = node.as_table()) {
    Json out = Json::object();
    for (const auto& [key, value] : *table) out[std::string(key.str())] = to_json(value);
    return out;
  }
  if (const toml::array* array = node.as_array()) {
    Json out = Json::array();
    for (const toml::node& item : *array) out.push_back(to_json(item));
    return out;
  }
  if (const auto value = node.value_exact<std::string>()) return *value;
  if (const auto value = node.value_exact<int64_t>()) return *value;
  if (const auto value = node.value_exact<bool>()) return *value;
  if (const auto value = node.value<double>()) return *value;
  throw_error(ErrorCode::kInvalidArgument, "toml", "dates and times have no meaning here");
}

Json load_toml(const std::string& path) {
  const std::string text = io::read_file(path);
  try {
    return to_json(toml::parse(text, path));
  } catch (const toml::parse_error& error) {
    throw_error(ErrorCode::kInvalidArgument, path, "line {}, column {}: {}",
                error.source().begin.line, error.source().begin.column, error.description());
  }
}

// The entries of [[name]], each with its fields checked.
std::vector<Json> entries(const Json& file, const char* name, const std::string& path,
                          std::initializer_list<const char*> fields) {
  std::vector<Json> out;
  if (!file.contains(name)) return out;
  if (!file[name].is_array())
    throw_error(ErrorCode::kInvalidArgument, path, "expected [[{}]] with two brackets", name);
  for (const Json& entry : file[name]) {
    io::json_require<std::string>(entry, "name", path + " " + name);
    for (const auto& [key, value] : entry.items()) {
      const bool known = std::any_of(fields.begin(), fields.end(),
                                     [&](const char* field) { return key == field; });
      if (!known && key != "name")
        throw_error(ErrorCode::kInvalidArgument, path, "[[{}]] has no field '{}'", name, key);
    }
    out.push_back(entry);
  }
  return out;
}

}  // namespace

FleetSpec load_fleet(const std::string& path) {
  const Json file = load_toml(path);
  FleetSpec fleet;
  for (const Json& e : entries(file, "region", path, {"carbon_g_per_kwh"}))
    fleet.regions.push_back({e["name"], io::json_get(e, "carbon_g_per_kwh", 0, path)});
  for (const Json& e : entries(file, "kind", path, {"memory_gb", "power_w"})) {
    fleet.kinds.push_back(
        {e["name"], io::json_get(e, "memory_gb", 0, path), io::json_get(e, "power_w", 0, path)});
  }
  for (const Json& e : entries(file, "cluster", path, {"region", "spot"})) {
    const auto region = io::json_require<std::string>(e, "region", path + " cluster");
    fleet.clusters.push_back(
        {e["name"], forge::index_of(fleet.regions, region, "cluster.region"),
         io::json_get(e, "spot", false, path) ? forge::Spot::kAllowed : forge::Spot::kRefused});
  }
  for (const Json& e :
       entries(file, "virtual_cluster", path,
               {"parent", "guarantee", "borrow_max", "lend_max", "budget_device_hours"})) {
    const auto parent = io::json_get(e, "parent", std::string(), path);
    fleet.virtual_clusters.push_back(
        {e["name"],
         parent.empty() ? -1
                        : forge::index_of(fleet.virtual_clusters, parent, "virtual_cluster.parent"),
         io::json_get(e, "guarantee", 0, path), io::json_get(e, "borrow_max", INT32_MAX, path),
         io::json_get(e, "lend_max", INT32_MAX, path),
         static_cast<forge::Millis>(io::json_get(e, "budget_device_hours", 0.0, path) *
                                    3'600'000)});
  }
  if (fleet.regions.empty() || fleet.kinds.empty() || fleet.clusters.empty() ||
      fleet.virtual_clusters.empty()) {
    throw_error(ErrorCode::kInvalidArgument, path,
                "a fleet needs a [[region]], a [[kind]], a [[cluster]] and a [[virtual_cluster]]");
  }
  return fleet;
}

FleetSpec load_simulated_fleet(const std::string& path) {
  FleetSpec fleet = load_fleet(path);
  for (const Json& e :
       entries(load_toml(path), "node", path, {"cluster", "kind", "devices", "count"})) {
    const std::string where = path + " node";
    const auto cluster = io::json_require<std::string>(e, "cluster", where);
    const auto kind = io::json_require<std::string>(e, "kind", where);
    const auto devices = io::json_require<int32_t>(e, "devices", where);
    const auto count = io::json_get(e, "count", 1, where);
    if (devices < 1 || count < 1)
      throw_error(ErrorCode::kInvalidArgument, where, "expected devices and count of 1 or more");
    for (int32_t n = 0; n < count; ++n) {
      fleet.nodes.push_back({fmt::format("{}-{}", e["name"].get<std::string>(), n),
                             forge::index_of(fleet.clusters, cluster, "node.cluster"),
                             forge::index_of(fleet.kinds, kind, "node.kind"), devices});
    }
  }
  if (fleet.nodes.empty())
    throw_error(ErrorCode::kInvalidArgument, path, "a simulated fleet needs a [[node]]");
  return fleet;
}

Json load_job(const std::string& path) { return load_toml(path); }

}  // namespace hearth::apps
