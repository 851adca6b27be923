#include "forge/core/explain.h"

#include <algorithm>
#include <fmt/format.h>

namespace hearth::forge {
namespace {

std::string other_name(const Scheduler& scheduler, JobId other) {
  if (other < 0) return "another job";
  const Job& job = scheduler.job(other);
  return fmt::format("job {} ({}, {})", other, to_string(job.spec.tier),
                     scheduler.spec().virtual_clusters[static_cast<size_t>(job.spec.vc)].name);
}

double hours(Millis ms) { return static_cast<double>(ms) / 3'600'000; }

// Whose budget is used up.
std::string over_budget(const Scheduler& scheduler, const Job& job) {
  if (job.over()) {
    return fmt::format("its budget of {:.4g} device hours is used up, and it was asked to save",
                       hours(job.spec.budget));
  }
  VcId vc = job.spec.vc;
  const auto& all = scheduler.spec().virtual_clusters;
  while (vc >= 0 && (all[static_cast<size_t>(vc)].budget == 0 ||
                     scheduler.device_time(vc) < all[static_cast<size_t>(vc)].budget))
    vc = all[static_cast<size_t>(vc)].parent;
  if (vc < 0) return "the budget of its virtual cluster was used up and has been raised";
  return fmt::format(
      "virtual cluster '{}' has used up its budget of {:.4g} device hours; raise it in the fleet's "
      "file",
      all[static_cast<size_t>(vc)].name, hours(all[static_cast<size_t>(vc)].budget));
}

// What its deadline and its budget mean for it now.
std::string terms_of(const Scheduler& scheduler, const Job& job) {
  std::string out;
  if (job.spec.deadline > 0 && job.spec.expected == 0) {
    out += " Its deadline counts for nothing: expected_s says how long it runs.";
  } else if (job.spec.deadline > 0) {
    const Millis slack = job.slack(scheduler.now());
    if (slack < -job.hurry()) {
      out += fmt::format(" Its deadline will be missed by {} s.", -slack / 1000);
    } else if (slack <= job.hurry()) {
      out += " Its deadline is near, so it goes before its tier.";
    } else {
      out += fmt::format(" It has {} s to spare before its deadline.", slack / 1000);
    }
  }
  if (job.spec.budget > 0) {
    out += fmt::format(" It has used {:.4g} of {:.4g} device hours.",
                       hours(job.device_until(scheduler.now())), hours(job.spec.budget));
  }
  return out;
}

// Why it has no place.
std::string waiting_because(const Scheduler& scheduler, const Job& job) {
  const VirtualCluster& vc = scheduler.spec().virtual_clusters[static_cast<size_t>(job.spec.vc)];
  switch (job.why.reason) {
    case Reason::kNoSuchPlace:
      return "no part of the fleet could hold it even when empty: loosen its constraints";
    case Reason::kNoRoom:
      return "no eligible place is free, and nobody on one may be asked to leave";
    case Reason::kOverQuota:
      return fmt::format(
          "virtual cluster '{}' has used its guarantee of {} and may borrow no more now", vc.name,
          vc.guarantee);
    case Reason::kInOrder:
      return "the policy puts jobs before it that wait themselves";
    case Reason::kPreempted:
      return fmt::format("{} took its place", other_name(scheduler, job.why.other));
    case Reason::kNodeLost:
      return "a node it ran on was lost; it resumes from its last checkpoint";
    case Reason::kDrained:
      return "its node is being drained and no other place is free";
    case Reason::kOverBudget:
      return over_budget(scheduler, job);
    case Reason::kExited:
      return "it failed and will be started again";
    case Reason::kHung:
      return "it did nothing any more and is started again";
    case Reason::kMoved:
      return "its owner moved it to where no place is free yet";
    case Reason::kResized:
      return "its owner asked for more workers than are free together";
    default:
      return "it has not been looked at yet";
  }
}

// Why it is where it is.
std::string placed_because(const Scheduler& scheduler, const Job& job) {
  switch (job.why.reason) {
    case Reason::kReclaimed:
      return "others gave these devices back to it";
    case Reason::kShrunk:
      return fmt::format("it gave its extra workers to {}", other_name(scheduler, job.why.other));
    case Reason::kGrown:
      return "idle devices make it faster";
    case Reason::kMigrated:
      return fmt::format("it moved, so that the hole it left fits {}",
                         other_name(scheduler, job.why.other));
    case Reason::kDrained:
      return "moved off a node that is being drained";
    case Reason::kMoved:
      return "its owner moved it here";
    case Reason::kResized:
      return "its owner asked for this size";
    case Reason::kHung:
      return "it did nothing any more, and was started again here";
    case Reason::kShared:
      return "this is its share, by what devices of each kind are worth to it and to other elastic "
             "jobs";
    default:
      return "this was the tightest free place that it may use";
  }
}

std::string where(const Scheduler& scheduler, const Job& job) {
  const Node& node = scheduler.spec().nodes[static_cast<size_t>(job.target[0].node)];
  return fmt::format(
      "{} x {} on {} of cluster {}", job.target.size(),
      scheduler.spec().kinds[static_cast<size_t>(node.kind)].name,
      nodes_of(job.target) == 1 ? node.name : fmt::format("{} nodes", nodes_of(job.target)),
      scheduler.spec().clusters[static_cast<size_t>(node.cluster)].name);
}

std::string sentence_of(const Scheduler& scheduler, const Job& job) {
  const std::string head = fmt::format("Job {} is {}", job.id, to_string(job.state));
  if (job.over()) {
    const bool spent = job.why.reason == Reason::kOverBudget;
    return head + (spent ? ": " + over_budget(scheduler, job) : "") + ".";
  }
  const std::string terms = terms_of(scheduler, job);
  if (job.target.empty()) {
    const bool taken = job.moved.other >= 0 && job.why.reason != Reason::kPreempted;
    return fmt::format(
        "{} and waits since {} s: {}{}.{}", head, (scheduler.now() - job.changed_at) / 1000,
        waiting_because(scheduler, job),
        taken ? fmt::format("; {} took its place", other_name(scheduler, job.moved.other)) : "",
        terms);
  }
  const bool stays = job.target == job.placed || job.state == JobState::kQueued;
  return fmt::format("{}{} {}: {}.{}", head, stays ? ", on" : ", on its way to",
                     where(scheduler, job), placed_because(scheduler, job), terms);
}

std::string verdict_of(const FleetSpec& spec, const JobSpec& job, const Node& node) {
  const Cluster& cluster = spec.clusters[static_cast<size_t>(node.cluster)];
  const DeviceKind& kind = spec.kinds[static_cast<size_t>(node.kind)];
  const auto allows = [](const auto& list, auto id) {
    return list.empty() || std::find(list.begin(), list.end(), id) != list.end();
  };
  if (!allows(job.regions, cluster.region)) return "residency";
  if (!allows(job.clusters, node.cluster)) return "other cluster";
  if (!allows(job.kinds, node.kind)) return "other kind";
  if (kind.memory_gb < job.memory_gb_min) return "too little memory";
  if (cluster.spot == Spot::kAllowed && job.spot == Spot::kRefused) return "spot";
  return "eligible";
}

}  // namespace

const char* to_string(JobState state) {
  constexpr const char* kNames[] = {"queued",    "starting", "running",  "stopping",
                                    "succeeded", "failed",   "cancelled"};
  return kNames[static_cast<int>(state)];
}

const char* to_string(Reason reason) {
  constexpr const char* kNames[] = {"new",         "no such place", "no room",   "over quota",
                                    "in order",    "best fit",      "reclaimed", "preempted",
                                    "shrunk",      "grown",         "migrated",  "node lost",
                                    "drained",     "exited",        "moved",     "resized",
                                    "over budget", "hung",          "shared"};
  return kNames[static_cast<int>(reason)];
}

const char* to_string(NoteKind kind) {
  constexpr const char* kNames[] = {"submitted", "started", "running",   "stopping",
                                    "ended",     "queued",  "over",      "node_up",
                                    "node_lost", "drained", "undrained", "health"};
  return kNames[static_cast<int>(kind)];
}

Explanation explain(const Scheduler& scheduler, JobId id) {
  const Job& job = scheduler.job(id);
  const FleetSpec& spec = scheduler.spec();
  std::map<std::pair<ClusterId, KindId>, PoolView> pools;
  for (size_t n = 0; n < spec.nodes.size(); ++n) {
    const Node& node = spec.nodes[n];
    PoolView& pool = pools[{node.cluster, node.kind}];
    pool.cluster = spec.clusters[static_cast<size_t>(node.cluster)].name;
    pool.kind = spec.kinds[static_cast<size_t>(node.kind)].name;
    pool.verdict = verdict_of(spec, job.spec, node);
    if (!scheduler.planned().present(static_cast<NodeId>(n))) continue;
    const int32_t free = scheduler.planned().free_devices(static_cast<NodeId>(n));
    pool.devices += node.devices;
    pool.free += free;
    pool.largest = std::max(pool.largest, free);
  }
  Explanation out{sentence_of(scheduler, job), {}};
  for (auto& [key, pool] : pools) out.pools.push_back(std::move(pool));
  return out;
}

std::string Explanation::text() const {
  std::string out = sentence + "\n\n";
  out += fmt::format("{:<16} {:<12} {:>8} {:>6} {:>12}  {}\n", "cluster", "kind", "devices", "free",
                     "on one node", "for this job");
  for (const PoolView& pool : pools) {
    out += fmt::format("{:<16} {:<12} {:>8} {:>6} {:>12}  {}\n", pool.cluster, pool.kind,
                       pool.devices, pool.free, pool.largest, pool.verdict);
  }
  return out;
}

}  // namespace hearth::forge
