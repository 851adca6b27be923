// A scheduler made from what a store kept, and what it shows of itself.
#include "base/error.h"
#include "base/random.h"
#include "forge/core/scheduler.h"

namespace hearth::forge {
namespace {

void expect_room(const Fleet& fleet, const Placement& slots, JobId job) {
  if (fleet.fits(slots)) return;
  throw_error(
      ErrorCode::kDataLoss, "forge store",
      "job {} holds devices that are away or another's: rows are missing; bring back a copy "
      "of the database that is whole",
      job);
}

}  // namespace

Scheduler::Scheduler(FleetSpec spec, const Policy& policy, LeaseTerms terms)
    : spec_(std::move(spec)),
      policy_(&policy),
      terms_(terms),
      planned_(spec_),
      actual_(spec_),
      claims_(spec_),
      roster_(planned_),
      spent_(spec_.virtual_clusters.size(), 0),
      nodes_(spec_.nodes.size()) {
  for (size_t n = 0; n < spec_.nodes.size(); ++n)
    node_names_.emplace(spec_.nodes[n].name, static_cast<NodeId>(n));
}

Scheduler::Scheduler(Image image, Millis now, const Policy& policy, LeaseTerms terms)
    : Scheduler(std::move(image.fleet), policy, terms) {
  now_ = std::max(now, image.now);
  dirty_ = true;
  for (size_t n = 0; n < image.nodes.size(); ++n) {
    const NodeImage& kept = image.nodes[n];
    const auto id = static_cast<NodeId>(n);
    nodes_[n].incarnation = kept.incarnation;
    nodes_[n].up = kept.up;
    nodes_[n].lease_until = now_ + terms_.lease_ms;
    planned_.set_present(id, kept.up);
    actual_.set_present(id, kept.up);
    nodes_[n].drained = !kept.open;
    nodes_[n].health = kept.health;
    planned_.set_open(id, kept.open && !kept.health.out());
  }
  jobs_ = std::move(image.jobs);
  for (Job& job : jobs_) {
    if (!job.spec.key.empty()) keys_.emplace(job.spec.key, job.id);
    spent_[static_cast<size_t>(job.spec.vc)] += job.device_ms;
    if (job.over()) continue;
    if (job.active()) active_.push_back(job.id), stale_.push_back(job.id);
    if (job.active() && (job.spec.deadline > 0 || job.spec.budget > 0)) watched_.insert(job.id);
    expect_room(planned_, job.target, job.id);
    planned_.take(job.target);
    if (!job.target.empty()) claims_.charge(job.spec.vc, job.need_milli());
    if (job.state == JobState::kQueued && !job.target.empty()) waiting_.insert(job.id);
    if (job.state == JobState::kStarting || job.state == JobState::kStopping)
      unsettled_.insert(job.id);
    for (const Slot& slot : job.placed) {
      const auto part = job.parts.find(slot.node);
      if (part == job.parts.end() || part->second.state == PartState::kEnded) continue;
      expect_room(actual_, {slot}, job.id);
      actual_.take({slot});
      nodes_[static_cast<size_t>(slot.node)].jobs.insert(job.id);
    }
    for (auto& [node, part] : job.parts) part.sent_at = 0;
  }
}

NodeImage Scheduler::node_image(NodeId node) const {
  const NodeState& state = nodes_[static_cast<size_t>(node)];
  return {state.incarnation, state.up, !state.drained, state.health};
}

NodeId Scheduler::node_named(std::string_view name) const {
  const auto found = node_names_.find(name);
  return found == node_names_.end() ? -1 : found->second;
}

JobId Scheduler::job_keyed(const std::string& key) const {
  const auto found = keys_.find(key);
  return found == keys_.end() ? -1 : found->second;
}

const std::set<JobId>& Scheduler::jobs_on(NodeId node) const {
  return nodes_[static_cast<size_t>(node)].jobs;
}

uint64_t Scheduler::fingerprint() const {
  uint64_t print = 0;
  const auto mix = [&](auto value) { print = split_mix(print ^ static_cast<uint64_t>(value)); };
  for (const Job& job : jobs_) {
    for (int64_t v :
         {int64_t{job.id}, static_cast<int64_t>(job.state), job.epoch, job.ran_ms, job.device_ms,
          job.changed_at, int64_t{job.failures}, int64_t{job.cancelled}, int64_t{job.starts},
          int64_t{job.preemptions}, job.first_run_at, int64_t{job.spec.min_workers},
          int64_t{job.spec.max_workers}, static_cast<int64_t>(job.stop_mode)}) {
      mix(v);
    }
    for (const Placement* slots : {&job.target, &job.placed}) {
      for (const Slot& slot : *slots) mix(slot.node * 4096 + slot.device), mix(slot.milli);
    }
    for (const auto& [node, part] : job.parts) {
      mix(node * 16 + static_cast<int>(part.state)), mix(part.outcome);
    }
  }
  for (size_t n = 0; n < nodes_.size(); ++n) {
    mix(nodes_[n].incarnation * 2 + nodes_[n].up);
    mix(planned_.open(static_cast<NodeId>(n)) * 2 + nodes_[n].drained);
    mix(static_cast<int>(nodes_[n].health.state) * 64 + nodes_[n].health.strikes);
  }
  mix(planned_.free_milli()), mix(actual_.free_milli());
  for (size_t v = 0; v < spec_.virtual_clusters.size(); ++v)
    mix(claims_.used(static_cast<VcId>(v)));
  mix(waiting_.size()), mix(unsettled_.size()), mix(active_.size());
  return print;
}

}  // namespace hearth::forge
