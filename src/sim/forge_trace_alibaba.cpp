// Alibaba's GPU trace of 2023: nodes (sn,cpu_milli,memory_mib,gpu,model) and pods (name,cpu_milli,
// memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,...). Only their devices count
// here: processors and memory are left out.
#include <algorithm>
#include <fmt/format.h>

#include "base/error.h"
#include "sim/forge_csv.h"
#include "sim/forge_traces.h"

namespace hearth::sim {

using namespace forge;

namespace {

struct AlibabaKind {
  const char* model;
  int32_t memory_gb;
  int32_t power_w;
};
// G2 and G3 stand for models that the owner does not name; their figures are those of an A10 and an
// A100.
constexpr AlibabaKind kAlibabaKinds[] = {
    {"T4", 16, 70},   {"P100", 16, 250}, {"V100M16", 16, 300}, {"V100M32", 32, 300},
    {"A10", 24, 150}, {"G2", 24, 150},   {"G3", 80, 400}};

KindId kind_named(std::string_view model, const std::string& where) {
  for (size_t k = 0; k < std::size(kAlibabaKinds); ++k) {
    if (model == kAlibabaKinds[k].model) return static_cast<KindId>(k);
  }
  throw_error(ErrorCode::kUnsupported, where, "no model of device '{}'", model);
}

}  // namespace

FleetSpec alibaba_fleet(std::string_view nodes) {
  const CsvTable table(nodes, "nodes");
  FleetSpec fleet;
  fleet.regions = {{"one", 0}};
  fleet.clusters = {{"openb", 0}};
  for (const AlibabaKind& kind : kAlibabaKinds)
    fleet.kinds.push_back({kind.model, kind.memory_gb, kind.power_w});
  int32_t total = 0;
  for (size_t row = 0; row < table.size(); ++row) {
    const auto devices = static_cast<int32_t>(table.number(row, "gpu"));
    if (devices == 0) continue;
    fleet.nodes.push_back({std::string(table.text(row, "sn")), 0,
                           kind_named(table.text(row, "model"), "nodes"), devices});
    total += devices;
  }
  fleet.virtual_clusters = {{"all", -1, total}};
  return fleet;
}

ForgeTrace alibaba_trace(std::string_view pods, FleetSpec fleet) {
  const CsvTable table(pods, "pods");
  ForgeTrace trace{std::move(fleet), {}};
  // Some lists of pods have no times: they are for placing only.
  const bool timed = pods.substr(0, pods.find('\n')).find("deletion_time") != pods.npos;
  for (size_t row = 0; row < table.size(); ++row) {
    ReplayJob job;
    job.spec.min_workers = static_cast<int32_t>(table.number(row, "num_gpu"));
    if (job.spec.min_workers == 0) continue;
    job.spec.name = table.text(row, "name");
    job.spec.max_workers = job.spec.min_workers;
    job.spec.share_milli = static_cast<int32_t>(table.number(row, "gpu_milli"));
    job.spec.locality = Locality::kNode;
    if (timed) {
      for (std::string_view model : split(table.text(row, "gpu_spec"), '|'))
        job.spec.kinds.push_back(kind_named(model, "pods"));
      job.spec.tier = table.text(row, "qos") == "BE" ? Tier::kBasic : Tier::kStandard;
      const double created = table.number(row, "creation_time");
      job.submit_at = static_cast<Millis>(created * 1000);
      job.work = table.number(row, "deletion_time") - created;
      job.spec.expected = static_cast<Millis>(job.work * 1000);
    }
    trace.jobs.push_back(std::move(job));
  }
  std::ranges::stable_sort(trace.jobs, {}, &ReplayJob::submit_at);
  return trace;
}

}  // namespace hearth::sim
