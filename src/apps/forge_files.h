// The files of Forge: a fleet and a job, both TOML. A job's fields are those of POST
// /v1/forge/jobs.
#pragma once

#include <string>

#include "forge/core/types.h"
#include "io/json_fwd.h"

namespace hearth::apps {

// Regions, clusters, kinds and virtual clusters; nodes come with their agents. Throws Error that
// names the file, the entry and the cure.
forge::FleetSpec load_fleet(const std::string& path);

// The same with nodes, for a simulation: [[node]] with name, cluster, kind, devices and count.
forge::FleetSpec load_simulated_fleet(const std::string& path);

io::Json load_job(const std::string& path);

}  // namespace hearth::apps
