// What a scheduler takes from outside, and the words with which it refuses the rest.
#include <algorithm>

#include "base/error.h"
#include "forge/core/scheduler.h"

namespace hearth::forge {
namespace {

constexpr int32_t kReplicasMax = 10'000;

bool known(int32_t id, size_t count) { return id >= 0 && id < static_cast<int32_t>(count); }

void expect(bool holds, const char* field, const char* expected) {
  if (!holds) throw_error(ErrorCode::kInvalidArgument, field, "expected {}", expected);
}

void check_workers(int32_t min_workers, int32_t max_workers) {
  expect(min_workers >= 1, "min_workers", "at least 1");
  expect(max_workers >= min_workers && max_workers <= kWorkersMax, "max_workers",
         "at least min_workers, at most 100000");
}

void check_spec(const JobSpec& spec, const FleetSpec& fleet) {
  expect(known(spec.vc, fleet.virtual_clusters.size()), "vc", "a virtual cluster of the fleet");
  check_workers(spec.min_workers, spec.max_workers);
  expect(spec.deadline >= 0, "deadline", "0 or more");
  expect(spec.budget >= 0, "budget", "0 or more");
  expect(spec.max_failures >= 0, "retries", "0 or more");
  expect(spec.share_milli >= 1 && spec.share_milli <= kWholeDevice, "share_milli", "1 to 1000");
  const auto all_known = [](const std::vector<int32_t>& ids, size_t count) {
    return std::all_of(ids.begin(), ids.end(), [&](int32_t id) { return known(id, count); });
  };
  expect(all_known(spec.regions, fleet.regions.size()), "regions", "regions of the fleet");
  expect(all_known(spec.kinds, fleet.kinds.size()), "kinds", "kinds of the fleet");
  expect(all_known(spec.clusters, fleet.clusters.size()), "clusters", "clusters of the fleet");
}

template <typename List>
void check_grows(const List& before, const List& after, const char* field) {
  expect(after.size() >= before.size(), field,
         "every entry of before, in its place: what was named once keeps its number");
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i].name != after[i].name) {
      throw_error(ErrorCode::kInvalidArgument, field,
                  "expected '{}' at place {} as before, found '{}'; add new ones at the end",
                  before[i].name, i, after[i].name);
    }
  }
}

}  // namespace

void Scheduler::check(const Event& event) const {
  std::visit(
      [this](const auto& e) {
        using E = std::decay_t<decltype(e)>;
        if constexpr (requires { e.job; }) job(e.job);
        if constexpr (requires { e.incarnation; } || std::is_same_v<E, Drain> ||
                      std::is_same_v<E, Undrain>) {
          if (!known(e.node, spec_.nodes.size())) {
            throw_error(ErrorCode::kNotFound, "node", "no node {}; there are {}", e.node,
                        spec_.nodes.size());
          }
        }
        if constexpr (std::is_same_v<E, Submit>) check_spec(e.spec, spec_);
        if constexpr (std::is_same_v<E, Resize> || std::is_same_v<E, Move>)
          expect(job(e.job).active(), "job", "one that is not over");
        if constexpr (std::is_same_v<E, Resize>) {
          check_workers(e.min_workers, e.max_workers);
          const bool fixed = job(e.job).checkpoint() == CheckpointBy::kProcess;
          expect(!fixed, "job",
                 "one that saves itself: processes that are saved as they are keep their size");
        }
        if constexpr (std::is_same_v<E, Scale>) {
          const Job& leader = job(e.job);
          expect(leader.spec.type == JobType::kInference && leader.spec.replica_of < 0, "job",
                 "an inference deployment, and not one of its replicas");
          expect(leader.active(), "job", "a deployment that is not over");
          expect(e.replicas >= 1 && e.replicas <= kReplicasMax, "replicas", "1 to 10000");
        }
        if constexpr (std::is_same_v<E, Move>) {
          for (ClusterId id : e.clusters)
            expect(known(id, spec_.clusters.size()), "clusters", "clusters of the fleet");
        }
        if constexpr (std::is_same_v<E, Enroll>) {
          const NodeId id = node_named(e.node.name);
          expect(known(e.node.cluster, spec_.clusters.size()), "cluster", "a cluster of the fleet");
          expect(known(e.node.kind, spec_.kinds.size()), "kind", "a kind of the fleet");
          expect(e.node.devices >= 1 && e.node.devices <= 4096, "devices", "1 to 4096");
          if (id < 0) return;
          const Node& node = spec_.nodes[static_cast<size_t>(id)];
          const bool same = node.cluster == e.node.cluster && node.kind == e.node.kind &&
                            node.devices == e.node.devices;
          expect(same, "node",
                 "the cluster, kind and number of devices that this name had; give a machine that "
                 "has changed a new name");
        }
        if constexpr (std::is_same_v<E, Configure>) {
          check_grows(spec_.kinds, e.fleet.kinds, "kinds");
          check_grows(spec_.regions, e.fleet.regions, "regions");
          check_grows(spec_.clusters, e.fleet.clusters, "clusters");
          check_grows(spec_.virtual_clusters, e.fleet.virtual_clusters, "virtual_clusters");
        }
      },
      event);
}

}  // namespace hearth::forge
