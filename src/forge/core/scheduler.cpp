#include "forge/core/scheduler.h"

#include <algorithm>

#include "base/check.h"
#include "base/error.h"
#include "base/random.h"

namespace hearth::forge {
namespace {

void check_spec(const JobSpec& spec, const FleetSpec& fleet) {
  const auto known = [](int32_t id, size_t count) {
    return id >= 0 && id < static_cast<int32_t>(count);
  };
  const auto refuse = [&](const char* field, const std::string& expected) {
    throw_error(ErrorCode::kInvalidArgument, std::string("job ") + field, "expected {}", expected);
  };
  if (!known(spec.vc, fleet.virtual_clusters.size()))
    refuse("vc", "a virtual cluster of the fleet");
  if (spec.min_workers < 1) refuse("min_workers", "at least 1");
  if (spec.max_workers < spec.min_workers) refuse("max_workers", "at least min_workers");
  if (spec.share_milli < 1 || spec.share_milli > kWholeDevice) refuse("share_milli", "1 to 1000");
  for (RegionId region : spec.regions) {
    if (!known(region, fleet.regions.size())) refuse("regions", "regions of the fleet");
  }
  for (KindId kind : spec.kinds) {
    if (!known(kind, fleet.kinds.size())) refuse("kinds", "kinds of the fleet");
  }
}

Placement on_node(const Placement& slots, NodeId node) {
  Placement out;
  for (const Slot& slot : slots) {
    if (slot.node == node) out.push_back(slot);
  }
  return out;
}

}  // namespace

Scheduler::Scheduler(FleetSpec spec, const Policy& policy, LeaseTerms terms)
    : spec_(std::move(spec)),
      policy_(&policy),
      terms_(terms),
      planned_(spec_),
      actual_(spec_),
      nodes_(spec_.nodes.size()) {}

const Job& Scheduler::job(JobId id) const {
  if (id < 0 || id >= static_cast<JobId>(jobs_.size())) {
    throw_error(ErrorCode::kNotFound, "job", "no job {}; there are {}", id, jobs_.size());
  }
  return jobs_[static_cast<size_t>(id)];
}

void Scheduler::apply(Millis now, const Event& event, std::vector<Command>& out) {
  CHECK(now >= now_, "time went back from {} to {}", now_, now);
  now_ = now;
  out_ = &out;
  std::visit([this](const auto& e) { on(e); }, event);
  if (dirty_ && now_ >= planned_at_ + policy_->round_ms) plan();
  const std::vector<JobId> waiting(waiting_.begin(), waiting_.end());
  for (JobId id : waiting) reconcile(jobs_[static_cast<size_t>(id)]);
  out_ = nullptr;
}

void Scheduler::on(const Submit& event) {
  check_spec(event.spec, spec_);
  Job& job = jobs_.emplace_back();
  job.id = static_cast<JobId>(jobs_.size()) - 1;
  job.spec = event.spec;
  job.submitted_at = job.changed_at = job.why.at = now_;
  active_.push_back(job.id);
  dirty_ = true;
}

void Scheduler::on(const Cancel& event) {
  Job& job = jobs_[static_cast<size_t>(this->job(event.job).id)];
  if (!job.active()) return;
  job.cancelled = true;
  std::erase(active_, job.id);
  drop_target(job);
  dirty_ = true;
  if (job.state == JobState::kQueued) return finish(job, JobState::kCancelled);
  begin_stop(job, StopMode::kKill);
}

void Scheduler::on(const Drain& event) {
  planned_.set_open(event.node, false);
  dirty_ = true;
}

void Scheduler::on(const Undrain& event) {
  planned_.set_open(event.node, true);
  dirty_ = true;
}

void Scheduler::on(const Measured& event) {
  Job& job = jobs_[static_cast<size_t>(this->job(event.job).id)];
  if (event.rates) job.spec.rates = event.rates;
  job.work_left = event.work_left;
  dirty_ = true;
}

void Scheduler::on(const Tick&) {
  for (size_t n = 0; n < nodes_.size(); ++n) {
    if (nodes_[n].up && now_ >= nodes_[n].lease_until) lose_node(static_cast<NodeId>(n));
  }
  const std::vector<JobId> unsettled(unsettled_.begin(), unsettled_.end());
  for (JobId id : unsettled) {
    Job& job = jobs_[static_cast<size_t>(id)];
    for (auto& [node, part] : job.parts) {
      if (now_ < part.sent_at + terms_.resend_ms) continue;
      if (part.state == PartState::kStarting) send_start(job, node);
      if (part.state == PartState::kStopping) send_stop(job, node);
    }
  }
}

bool Scheduler::current(NodeId node, Incarnation incarnation) const {
  const NodeState& state = nodes_[static_cast<size_t>(node)];
  return state.up && state.incarnation == incarnation;
}

void Scheduler::on(const Joined& event) {
  NodeState& node = nodes_[static_cast<size_t>(event.node)];
  if (event.incarnation <= node.incarnation) return;
  if (node.up) lose_node(event.node);
  node.incarnation = event.incarnation;
  // Longer than the agent's own lease by what a first answer may take.
  node.lease_until = now_ + terms_.lease_ms;
  node.up = true;
  planned_.set_present(event.node, true);
  actual_.set_present(event.node, true);
  dirty_ = true;
}

void Scheduler::on(const Heartbeat& event) {
  NodeState& node = nodes_[static_cast<size_t>(event.node)];
  if (!current(event.node, event.incarnation)) {
    out_->push_back(Rejoin{event.node, event.incarnation});
    return;
  }
  // It arrives after it was sent, so this lease ends no earlier than the agent's.
  node.lease_until = now_ + terms_.lease_ms;
  out_->push_back(Lease{event.node, event.incarnation, event.sent_at});
}

void Scheduler::on(const Started& event) {
  if (!current(event.node, event.incarnation)) return;
  Job& job = jobs_[static_cast<size_t>(event.job)];
  const auto part = job.parts.find(event.node);
  if (job.epoch != event.epoch || part == job.parts.end()) return;
  if (part->second.state != PartState::kStarting) return;
  part->second.state = PartState::kRunning;
  const bool all = std::all_of(job.parts.begin(), job.parts.end(), [](const auto& entry) {
    return entry.second.state == PartState::kRunning;
  });
  if (!all || job.state != JobState::kStarting) return;
  unsettled_.erase(job.id);
  job.state = JobState::kRunning;
  job.changed_at = now_;
  if (job.first_run_at < 0) job.first_run_at = now_;
}

void Scheduler::on(const Ended& event) {
  if (!current(event.node, event.incarnation)) return;
  out_->push_back(Acknowledge{event.node, event.incarnation, event.job, event.epoch});
  Job& job = jobs_[static_cast<size_t>(event.job)];
  const auto part = job.parts.find(event.node);
  if (job.epoch != event.epoch || part == job.parts.end()) return;
  if (part->second.state == PartState::kEnded) return;
  end_part(job, event.node, event.outcome);
  const bool by_itself = event.outcome == Outcome::kSucceeded;
  // One worker group that failed or vanished ends the gang; those that succeeded are waited for.
  if (!by_itself && job.state != JobState::kStopping) begin_stop(job, StopMode::kCheckpoint);
  settle(job);
}

void Scheduler::lose_node(NodeId id) {
  NodeState& node = nodes_[static_cast<size_t>(id)];
  node.up = false;
  const std::set<JobId> affected = node.jobs;
  for (JobId job_id : affected) {
    Job& job = jobs_[static_cast<size_t>(job_id)];
    end_part(job, id, Outcome::kKilled);
    if (job.state != JobState::kStopping) begin_stop(job, StopMode::kCheckpoint);
  }
  for (JobId job_id : active_) {
    Job& job = jobs_[static_cast<size_t>(job_id)];
    if (on_node(job.target, id).empty()) continue;
    drop_target(job);
    job.why = {Reason::kNodeLost, -1, now_};
  }
  planned_.set_present(id, false);
  actual_.set_present(id, false);
  dirty_ = true;
  for (JobId job_id : affected) settle(jobs_[static_cast<size_t>(job_id)]);
}

void Scheduler::end_part(Job& job, NodeId node, Outcome outcome) {
  Part& part = job.parts.at(node);
  part.state = PartState::kEnded;
  part.outcome = outcome;
  nodes_[static_cast<size_t>(node)].jobs.erase(job.id);
  actual_.release(on_node(job.placed, node));
}

void Scheduler::drop_target(Job& job) {
  planned_.release(job.target);
  job.target.clear();
  waiting_.erase(job.id);
}

void Scheduler::account(Job& job) {
  job.ran_ms = job.ran_until(now_);
  job.device_ms = job.device_until(now_);
  job.changed_at = now_;
}

void Scheduler::begin_stop(Job& job, StopMode mode) {
  account(job);
  job.state = JobState::kStopping;
  job.stop_mode = mode;
  unsettled_.insert(job.id);
  for (auto& [node, part] : job.parts) {
    if (part.state == PartState::kEnded) continue;
    part.state = PartState::kStopping;
    send_stop(job, node);
  }
}

void Scheduler::send_stop(Job& job, NodeId node) {
  job.parts.at(node).sent_at = now_;
  out_->push_back(
      Stop{node, nodes_[static_cast<size_t>(node)].incarnation, job.id, job.epoch, job.stop_mode});
}

void Scheduler::send_start(Job& job, NodeId node) {
  job.parts.at(node).sent_at = now_;
  out_->push_back(Start{node, nodes_[static_cast<size_t>(node)].incarnation, job.id, job.epoch,
                        on_node(job.placed, node)});
}

void Scheduler::launch(Job& job) {
  job.placed = job.target;
  actual_.take(job.placed);
  waiting_.erase(job.id);
  unsettled_.insert(job.id);
  ++job.epoch;
  ++job.starts;
  job.state = JobState::kStarting;
  job.changed_at = now_;
  job.parts.clear();
  for (const Slot& slot : job.placed) job.parts.try_emplace(slot.node);
  for (const auto& [node, part] : job.parts) {
    nodes_[static_cast<size_t>(node)].jobs.insert(job.id);
    send_start(job, node);
  }
}

// The epoch is over when its last part is: the job is done, or waits for its next start.
void Scheduler::settle(Job& job) {
  const auto all = [&](auto predicate) {
    return std::all_of(job.parts.begin(), job.parts.end(),
                       [&](const auto& entry) { return predicate(entry.second); });
  };
  if (!all([](const Part& part) { return part.state == PartState::kEnded; })) return;
  if (job.state != JobState::kStopping) account(job);
  unsettled_.erase(job.id);
  job.state = JobState::kQueued;
  job.changed_at = now_;
  dirty_ = true;
  const bool failed = !all([](const Part& part) { return part.outcome != Outcome::kFailed; });
  job.failures += failed;
  const bool succeeded = all([](const Part& part) { return part.outcome == Outcome::kSucceeded; });
  job.parts.clear();
  job.placed.clear();
  if (succeeded) return finish(job, JobState::kSucceeded);
  if (job.cancelled) return finish(job, JobState::kCancelled);
  if (job.failures > job.spec.max_failures) return finish(job, JobState::kFailed);
  if (failed) job.why = {Reason::kExited, -1, now_};
  if (!job.target.empty()) waiting_.insert(job.id);
}

void Scheduler::finish(Job& job, JobState state) {
  drop_target(job);
  std::erase(active_, job.id);
  job.state = state;
}

void Scheduler::reconcile(Job& job) {
  const bool live = job.state == JobState::kStarting || job.state == JobState::kRunning;
  if (live && job.target != job.placed) {
    ++job.preemptions;
    begin_stop(job, StopMode::kCheckpoint);
  }
  if (job.state != JobState::kQueued) return;
  if (job.target.empty()) {
    waiting_.erase(job.id);
  } else if (actual_.fits(job.target)) {
    launch(job);
  } else {
    waiting_.insert(job.id);
  }
}

void Scheduler::plan() {
  dirty_ = false;
  planned_at_ = now_;
  std::vector<JobId> touched;
  Planner planner(now_, jobs_, active_, planned_, touched);
  policy_->plan(planner);
  std::sort(touched.begin(), touched.end());
  touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
  // Stops before starts: what they give back may be what the others wait for.
  for (JobId id : touched) reconcile(jobs_[static_cast<size_t>(id)]);
}

uint64_t Scheduler::fingerprint() const {
  uint64_t print = 0;
  const auto mix = [&](auto value) { print = split_mix(print ^ static_cast<uint64_t>(value)); };
  for (const Job& job : jobs_) {
    for (int64_t v :
         {int64_t{job.id}, static_cast<int64_t>(job.state), job.epoch, job.ran_ms, job.device_ms,
          job.changed_at, int64_t{job.failures}, int64_t{job.cancelled}}) {
      mix(v);
    }
    for (const Placement* slots : {&job.target, &job.placed}) {
      for (const Slot& slot : *slots) mix(slot.node * 4096 + slot.device);
    }
    for (const auto& [node, part] : job.parts) mix(node * 8 + static_cast<int>(part.state));
  }
  for (const NodeState& node : nodes_) mix(node.incarnation * 2 + node.up), mix(node.lease_until);
  mix(planned_.free_milli()), mix(actual_.free_milli()), mix(planned_at_), mix(dirty_);
  return print;
}

}  // namespace hearth::forge
