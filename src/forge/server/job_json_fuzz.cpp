// A job as anybody may send it: refused in words, or taken, and then the same when it is read back.
#include <cstdint>

#include "base/check.h"
#include "base/error.h"
#include "forge/core/scheduler.h"
#include "forge/server/job_json.h"
#include "io/json.h"

namespace {

using namespace hearth;
using namespace hearth::forge;

FleetSpec small_house() {
  FleetSpec fleet;
  fleet.kinds = {{"gpu", 80, 400}, {"cpu", 0, 100}};
  fleet.regions = {{"north", 40}, {"south", 300}};
  fleet.clusters = {{"main", 0}, {"spare", 1}};
  fleet.nodes = {{"n0", 0, 0, 4}, {"n1", 1, 1, 2}};
  fleet.virtual_clusters = {{"a", -1, 4}, {"b", 0, 2}};
  return fleet;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const FleetSpec fleet = small_house();
  try {
    const JobSpec spec = job_from_json(io::parse_json(text, "job"), fleet);
    Scheduler scheduler(fleet, policy_named("hearth"));
    scheduler.check(Submit{spec});
    std::vector<Command> out;
    scheduler.apply(0, Submit{spec}, out);
    const io::Json shown = job_spec_json(spec, fleet);
    io::dump_json(shown);
  } catch (const Error&) {
  }
  return 0;
}
