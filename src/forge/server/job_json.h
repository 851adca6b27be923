// Jobs as their owners write them: JSON with names where the core has numbers. A job.toml has the
// same fields (docs/forge.md).
#pragma once

#include "forge/core/types.h"
#include "io/json_fwd.h"

namespace hearth::forge {

// Throws Error that names the field, what was expected, and the names there are. Environment values
// are not shown again: they may be secrets.
JobSpec job_from_json(const io::Json& json, const FleetSpec& fleet);
io::Json job_spec_json(const JobSpec& spec, const FleetSpec& fleet);

}  // namespace hearth::forge
