#include "sim/forge_laws.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>

#include "forge/core/quota.h"

namespace hearth::sim {

using namespace forge;

namespace {

std::string check_place(const FleetSpec& fleet, const JobSpec& spec, JobId job, NodeId node_id) {
  const Node& node = fleet.nodes[static_cast<size_t>(node_id)];
  const RegionId region = fleet.clusters[static_cast<size_t>(node.cluster)].region;
  const auto allows = [](const auto& list, auto id) {
    return list.empty() || std::find(list.begin(), list.end(), id) != list.end();
  };
  if (!allows(spec.regions, region)) return fmt::format("job {} runs in region {}", job, region);
  if (!allows(spec.kinds, node.kind)) return fmt::format("job {} runs on kind {}", job, node.kind);
  return {};
}

}  // namespace

std::string check_workers(const FleetSpec& fleet, const std::vector<const SimulatedHands*>& hands,
                          const ForgeTruth& truth) {
  std::map<std::pair<NodeId, int32_t>, int32_t> used;
  std::map<JobId, Epoch> epochs;
  for (const SimulatedHands* node : hands) {
    for (const Worker& worker : node->workers()) {
      const JobId job = worker.job;
      if (truth.done[static_cast<size_t>(job)])
        return fmt::format("job {} runs after its end", job);
      const auto [epoch, fresh] = epochs.try_emplace(job, worker.epoch);
      if (!fresh && epoch->second != worker.epoch) {
        return fmt::format("job {} runs twice, in epochs {} and {}", job, epoch->second,
                           worker.epoch);
      }
      for (const Slot& slot : node->slots(worker)) {
        int32_t& milli = used[{slot.node, slot.device}];
        milli += slot.milli;
        if (milli > kWholeDevice) {
          return fmt::format("device {} of node {} is given twice, the second time to job {}",
                             slot.device, slot.node, job);
        }
        const std::string wrong =
            check_place(fleet, truth.specs[static_cast<size_t>(job)], job, slot.node);
        if (!wrong.empty()) return wrong;
      }
    }
  }
  return {};
}

std::string check_books(const Scheduler& scheduler, const ForgeTruth& truth) {
  if (scheduler.jobs().size() != truth.specs.size()) {
    return fmt::format("{} jobs were accepted, {} are in the books", truth.specs.size(),
                       scheduler.jobs().size());
  }
  std::map<std::pair<NodeId, int32_t>, int32_t> planned;
  for (const Job& job : scheduler.jobs()) {
    if (job.over() && !(job.target.empty() && job.placed.empty())) {
      return fmt::format("job {} is over and holds devices", job.id);
    }
    if (truth.done[static_cast<size_t>(job.id)] && job.state == JobState::kRunning) continue;
    const auto workers = static_cast<int32_t>(job.target.size());
    if (workers != 0 && (workers < job.spec.min_workers || workers > job.spec.max_workers)) {
      return fmt::format("job {} is to have {} workers of {} to {}", job.id, workers,
                         job.spec.min_workers, job.spec.max_workers);
    }
    std::set<KindId> kinds;
    for (const Slot& slot : job.target) {
      kinds.insert(scheduler.spec().nodes[static_cast<size_t>(slot.node)].kind);
      if ((planned[{slot.node, slot.device}] += slot.milli) > kWholeDevice) {
        return fmt::format("device {} of node {} is planned twice", slot.device, slot.node);
      }
    }
    if (kinds.size() > 1) return fmt::format("job {} is to run on two kinds of device", job.id);
  }
  return {};
}

std::string check_guarantees(const Scheduler& scheduler) {
  const Fleet& fleet = scheduler.planned();
  Quota quota(scheduler.spec());
  for (const Job& job : scheduler.jobs()) {
    if (!job.target.empty())
      quota.charge(job.spec.vc, int64_t{job.spec.min_workers} * job.spec.share_milli);
  }
  for (const Job& job : scheduler.jobs()) {
    const bool simple = job.spec.locality == Locality::kAny && job.spec.share_milli == kWholeDevice;
    if (!job.active() || !job.target.empty() || !simple) continue;
    if (scheduler.budget_used_up(job.spec.vc)) continue;
    const int64_t need = int64_t{job.spec.min_workers} * job.spec.share_milli;
    const VirtualCluster& own = scheduler.spec().virtual_clusters[static_cast<size_t>(job.spec.vc)];
    if (quota.used(job.spec.vc) + need > int64_t{own.guarantee} * kWholeDevice) continue;
    std::map<KindId, int32_t> free;
    for (size_t n = 0; n < scheduler.spec().nodes.size(); ++n) {
      const auto node = static_cast<NodeId>(n);
      if (fleet.present(node) && fleet.open(node) && fleet.eligible(job.spec, node)) {
        free[scheduler.spec().nodes[n].kind] += fleet.free_devices(node);
      }
    }
    for (const auto& [kind, devices] : free) {
      if (devices >= job.spec.min_workers) {
        return fmt::format("job {} waits inside its guarantee while {} devices of kind {} are free",
                           job.id, devices, kind);
      }
    }
    if (job.why.reason == Reason::kSubmitted || job.why.reason == Reason::kBestFit) {
      return fmt::format("job {} waits inside its guarantee and nothing says why", job.id);
    }
  }
  return {};
}

}  // namespace hearth::sim
