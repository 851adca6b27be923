#include "forge/server/job_json.h"

#include <algorithm>
#include <cmath>

#include "forge/core/names.h"
#include "io/json.h"

namespace hearth::forge {

using io::Json;
using io::json_get;

namespace {

// How rates grow with workers until somebody has measured them.
constexpr double kAssumedScaling = 0.9;

void check_keys(const Json& json, const std::string& where,
                std::initializer_list<const char*> known) {
  if (!json.is_object())
    throw_error(ErrorCode::kInvalidArgument, where, "expected an object, found {}",
                json.type_name());
  std::string names;
  for (const char* name : known) names += names.empty() ? name : std::string(", ") + name;
  for (const auto& [key, value] : json.items()) {
    if (std::none_of(known.begin(), known.end(), [&](const char* name) { return key == name; }))
      throw_error(ErrorCode::kInvalidArgument, where, "no field '{}'; the fields are: {}", key,
                  names);
  }
}

Json section(const Json& json, const char* name) {
  return json.contains(name) ? json.at(name) : Json::object();
}

double seconds(Millis millis) { return static_cast<double>(millis) / 1'000; }

// Far more than anybody waits, and far from what a sum of times could not hold.
constexpr double kLongest = 1e12;

// A time in units of so many seconds.
Millis time_of(const Json& json, const char* key, double otherwise, const std::string& where,
               double unit = 1) {
  const double time = json_get(json, key, otherwise, where) * unit;
  if (!(time >= 0 && time <= kLongest))
    throw_error(ErrorCode::kInvalidArgument, where + "." + key, "expected a time, 0 or more");
  return std::llround(time * 1'000);
}

template <typename List>
std::vector<int32_t> indices(const Json& json, const char* key, const List& list) {
  std::vector<int32_t> out;
  for (const std::string& name : json_get(json, key, std::vector<std::string>{}, "place"))
    out.push_back(index_of(list, name, key));
  return out;
}

void read_workers(const Json& json, JobSpec& spec, Program& program) {
  check_keys(json, "workers", {"min", "max", "share", "process"});
  spec.min_workers = json_get(json, "min", 1, "workers");
  spec.max_workers = json_get(json, "max", spec.min_workers, "workers");
  const double share = json_get(json, "share", 1.0, "workers");
  if (!(share > 0 && share <= 1))
    throw_error(ErrorCode::kInvalidArgument, "workers.share", "expected more than 0, at most 1");
  spec.share_milli = std::max(1, static_cast<int32_t>(std::lround(share * kWholeDevice)));
  program.spawn = choice<Spawn>(json_get(json, "process", std::string("per-worker"), "workers"),
                                kSpawnNames, "workers.process");
}

void read_place(const Json& json, const FleetSpec& fleet, JobSpec& spec) {
  check_keys(json, "place", {"regions", "clusters", "kinds", "memory_gb", "locality", "spot"});
  spec.regions = indices(json, "regions", fleet.regions);
  spec.clusters = indices(json, "clusters", fleet.clusters);
  spec.kinds = indices(json, "kinds", fleet.kinds);
  spec.memory_gb_min = json_get(json, "memory_gb", 0, "place");
  spec.locality = choice<Locality>(json_get(json, "locality", std::string("any"), "place"),
                                   kLocalityNames, "place.locality");
  spec.spot = json_get(json, "spot", false, "place") ? Spot::kAllowed : Spot::kRefused;
}

void read_stop(const Json& json, JobSpec& spec, Program& program) {
  check_keys(json, "stop", {"grace_s", "cost_s", "saved_exit"});
  program.grace_ms = time_of(json, "grace_s", 30.0, "stop");
  program.saved_exit = json_get(json, "saved_exit", program.saved_exit, "stop");
  spec.stop_cost = time_of(json, "cost_s", 30.0, "stop");
}

// A tree of processes is saved as one, so there must be one, and its size stays.
void read_checkpoint(const Json& json, const JobSpec& spec, Program& program) {
  check_keys(json, "checkpoint", {"by", "every_s", "connections"});
  program.checkpoint =
      choice<CheckpointBy>(json_get(json, "by", std::string("library"), "checkpoint"),
                           kCheckpointNames, "checkpoint.by");
  program.checkpoint_every_ms = time_of(json, "every_s", 0.0, "checkpoint");
  program.connections =
      choice<Connections>(json_get(json, "connections", std::string("refuse"), "checkpoint"),
                          kConnectionsNames, "checkpoint.connections");
  if (program.checkpoint != CheckpointBy::kProcess) {
    if (program.checkpoint_every_ms > 0)
      throw_error(ErrorCode::kInvalidArgument, "checkpoint.every_s",
                  "only with by = \"process\": a program that saves itself knows when");
    return;
  }
  const bool one = spec.max_workers == 1 ||
                   (program.spawn == Spawn::kPerNode && spec.locality == Locality::kNode);
  if (spec.min_workers != spec.max_workers || !one)
    throw_error(ErrorCode::kInvalidArgument, "checkpoint.by",
                "\"process\" needs one process of a fixed size: workers min = max, and either one "
                "worker, or process = \"per-node\" with place.locality = \"node\"");
}

std::vector<std::string> read_environment(const Json& json) {
  std::vector<std::string> out;
  for (const auto& [name, value] : json.items()) {
    if (!value.is_string() || name.empty() || name.find('=') != std::string::npos)
      throw_error(ErrorCode::kInvalidArgument, "environment",
                  "'{}' is no NAME = \"text\"; numbers need quotes", name);
    out.push_back(name + "=" + value.get<std::string>());
  }
  return out;
}

std::shared_ptr<const RateTable> assumed_rates(const JobSpec& spec, const FleetSpec& fleet) {
  auto table = std::make_shared<RateTable>();
  std::vector<double> row{0};
  for (int32_t w = 1; w <= spec.max_workers; ++w) row.push_back(std::pow(w, kAssumedScaling));
  table->rates.assign(fleet.kinds.size(), row);
  return table;
}

template <typename List>
Json names_of(const std::vector<int32_t>& ids, const List& list) {
  Json out = Json::array();
  for (int32_t id : ids) out.push_back(list[static_cast<size_t>(id)].name);
  return out;
}

}  // namespace

JobSpec job_from_json(const Json& json, const FleetSpec& fleet) {
  check_keys(json, "job",
             {"name", "key", "virtual_cluster", "type", "tier", "command", "directory",
              "environment", "workers", "place", "stop", "checkpoint", "expected_s", "retries",
              "deadline_s", "budget_device_hours"});
  JobSpec spec;
  auto program = std::make_shared<Program>();
  program->command = io::json_require<std::vector<std::string>>(json, "command", "job");
  if (program->command.empty() || program->command[0].empty())
    throw_error(ErrorCode::kInvalidArgument, "command", "expected a program and its words");
  spec.name = json_get(json, "name", program->command[0], "job");
  spec.key = json_get(json, "key", std::string(), "job");
  spec.vc = index_of(fleet.virtual_clusters,
                     json_get(json, "virtual_cluster", fleet.virtual_clusters.at(0).name, "job"),
                     "virtual_cluster");
  spec.type =
      choice<JobType>(json_get(json, "type", std::string("command"), "job"), kTypeNames, "type");
  spec.tier =
      choice<Tier>(json_get(json, "tier", std::string("standard"), "job"), kTierNames, "tier");
  program->directory = json_get(json, "directory", std::string(), "job");
  program->environment = read_environment(section(json, "environment"));
  read_workers(section(json, "workers"), spec, *program);
  read_place(section(json, "place"), fleet, spec);
  read_stop(section(json, "stop"), spec, *program);
  read_checkpoint(section(json, "checkpoint"), spec, *program);
  spec.expected = time_of(json, "expected_s", 0.0, "job");
  spec.max_failures = json_get(json, "retries", 2, "job");
  spec.deadline = time_of(json, "deadline_s", 0.0, "job");
  spec.budget = time_of(json, "budget_device_hours", 0.0, "job", 3'600);
  if (spec.max_workers > spec.min_workers && spec.max_workers <= kWorkersMax)
    spec.rates = assumed_rates(spec, fleet);
  spec.program = std::move(program);
  return spec;
}

Json job_spec_json(const JobSpec& spec, const FleetSpec& fleet) {
  Json out = {
      {"name", spec.name},
      {"virtual_cluster", fleet.virtual_clusters[static_cast<size_t>(spec.vc)].name},
      {"type", to_string(spec.type)},
      {"tier", to_string(spec.tier)},
      {"workers",
       {{"min", spec.min_workers},
        {"max", spec.max_workers},
        {"share", static_cast<double>(spec.share_milli) / kWholeDevice}}},
      {"place",
       {{"regions", names_of(spec.regions, fleet.regions)},
        {"clusters", names_of(spec.clusters, fleet.clusters)},
        {"kinds", names_of(spec.kinds, fleet.kinds)},
        {"memory_gb", spec.memory_gb_min},
        {"locality", name_of(spec.locality, kLocalityNames)},
        {"spot", spec.spot == Spot::kAllowed}}},
      {"expected_s", seconds(spec.expected)},
      {"retries", spec.max_failures},
      {"deadline_s", seconds(spec.deadline)},
      {"budget_device_hours", seconds(spec.budget) / 3'600},
  };
  if (spec.replica_of >= 0) out["replica_of"] = spec.replica_of;
  if (!spec.program) return out;
  out["command"] = spec.program->command;
  out["directory"] = spec.program->directory;
  out["workers"]["process"] = name_of(spec.program->spawn, kSpawnNames);
  out["stop"] = {{"grace_s", seconds(spec.program->grace_ms)},
                 {"cost_s", seconds(spec.stop_cost)},
                 {"saved_exit", spec.program->saved_exit}};
  out["checkpoint"] = {{"by", name_of(spec.program->checkpoint, kCheckpointNames)},
                       {"every_s", seconds(spec.program->checkpoint_every_ms)},
                       {"connections", name_of(spec.program->connections, kConnectionsNames)}};
  return out;
}

}  // namespace hearth::forge
