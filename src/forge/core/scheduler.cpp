#include "forge/core/scheduler.h"

#include <algorithm>
#include <functional>

#include "base/check.h"
#include "base/error.h"

namespace hearth::forge {
namespace {

Placement on_node(const Placement& slots, NodeId node) {
  Placement out;
  for (const Slot& slot : slots) {
    if (slot.node == node) out.push_back(slot);
  }
  return out;
}

bool is_newer(const ImageRef& image, const ImageRef& known) {
  return std::pair(image.epoch, image.number) > std::pair(known.epoch, known.number);
}

void drop_active(std::vector<JobId>& active, JobId id) {
  const auto at = std::lower_bound(active.begin(), active.end(), id);
  if (at != active.end() && *at == id) active.erase(at);
}

}  // namespace

const Job& Scheduler::job(JobId id) const {
  if (id < 0 || id >= static_cast<JobId>(jobs_.size())) {
    throw_error(ErrorCode::kNotFound, "job", "no job {}; there are {}", id, jobs_.size());
  }
  return jobs_[static_cast<size_t>(id)];
}

void Scheduler::apply(Millis now, const Event& event, std::vector<Command>& out) {
  apply(now, std::span(&event, 1), out);
}

void Scheduler::apply(Millis now, std::span<const Event> events, std::vector<Command>& out) {
  CHECK(now >= now_, "time went back from {} to {}", now_, now);
  now_ = now;
  out_ = &out;
  changes_ = {};
  for (const Event& event : events) std::visit([this](const auto& e) { on(e); }, event);
  for (const Scale& event : scales_) scale(event);
  scales_.clear();
  watch();
  if (now_ >= planned_at_ + policy_->round_ms) {
    if (!dirty_) place_arrivals();
    if (dirty_) plan();
  }
  const std::vector<JobId> waiting(waiting_.begin(), waiting_.end());
  for (JobId id : waiting) reconcile(id);
  const auto once = [](auto& ids) {
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  };
  once(changes_.jobs), once(changes_.nodes);
  out_ = nullptr;
}

Job& Scheduler::change(JobId id) {
  changes_.jobs.push_back(id);
  stale_.push_back(id);
  return jobs_[static_cast<size_t>(id)];
}

void Scheduler::note(NoteKind kind, const Job& job, NodeId node, Outcome outcome) {
  // Who made it go says more than what it waits for now.
  const bool made_to = job.moved.at == now_ && job.moved.other >= 0;
  const Why& why = made_to ? job.moved : job.why;
  changes_.notes.push_back({now_, kind, job.id, job.epoch, node, why.reason, why.other, outcome,
                            Health::kHealthy, job.state});
}

void Scheduler::note(NoteKind kind, NodeId node) {
  changes_.notes.push_back({.at = now_,
                            .kind = kind,
                            .node = node,
                            .health = nodes_[static_cast<size_t>(node)].health.state});
}

void Scheduler::on(const Submit& event) {
  const auto id = static_cast<JobId>(jobs_.size());
  if (!event.spec.key.empty() && !keys_.emplace(event.spec.key, id).second) return;
  submit(event.spec);
}

void Scheduler::submit(const JobSpec& spec) {
  const auto id = static_cast<JobId>(jobs_.size());
  jobs_.emplace_back();
  Job& job = change(id);
  job.id = id;
  job.spec = spec;
  job.submitted_at = job.changed_at = job.why.at = now_;
  active_.push_back(job.id);
  arrivals_.push_back(job.id);
  if (spec.deadline > 0 || spec.budget > 0) watched_.insert(id);
  note(NoteKind::kSubmitted, job);
}

void Scheduler::on(const Cancel& event) {
  if (!job(event.job).active()) return;
  // A deployment goes with its replicas.
  const bool leads = job(event.job).spec.type == JobType::kInference;
  for (JobId id : leads ? active_ : std::vector<JobId>{}) {
    if (job(id).spec.replica_of == event.job) give_up(id, StopMode::kKill);
  }
  give_up(event.job, StopMode::kKill);
}

void Scheduler::on(const Drain& event) {
  NodeState& node = nodes_[static_cast<size_t>(event.node)];
  if (node.drained) return;
  node.drained = true;
  note(NoteKind::kDrained, event.node);
  open_or_close(event.node);
}

void Scheduler::on(const Undrain& event) {
  NodeState& node = nodes_[static_cast<size_t>(event.node)];
  if (!node.drained && !node.health.out()) return;
  node.drained = false;
  seen_to(node.health);
  links_.forget(event.node);
  note(NoteKind::kUndrained, event.node);
  open_or_close(event.node);
}

void Scheduler::open_or_close(NodeId id) {
  const NodeState& node = nodes_[static_cast<size_t>(id)];
  planned_.set_open(id, !node.drained && !node.health.out());
  mark(id);
  dirty_ = true;
}

bool Scheduler::may_take_out_one_more() const {
  const auto out = std::count_if(nodes_.begin(), nodes_.end(),
                                 [](const NodeState& node) { return node.health.out(); });
  return out == 0 ||
         (out + 1) * 100 <= static_cast<int64_t>(nodes_.size()) * health_terms_.out_percent_max;
}

void Scheduler::on(const Checked& event) {
  if (!current(event.node, event.incarnation)) return;
  NodeState& node = nodes_[static_cast<size_t>(event.node)];
  const NodeHealth before = node.health;
  learn_links(event);
  const LinkVerdict verdict = link_verdict(event.node);
  std::vector<CheckResult> results = event.results;
  if (verdict == LinkVerdict::kBad)
    results.push_back({"links", false, links_.text(now_, event.node)});
  checked(node.health, now_, results, node.jobs.empty(), may_take_out_one_more(), health_terms_);
  if (verdict == LinkVerdict::kDoubtful)
    doubted(node.health, "links: " + links_.text(now_, event.node));
  tell_health(event.node, before);
}

// The other end of a bad link is in doubt from now on, too. More than that it becomes by its own
// rounds.
void Scheduler::learn_links(const Checked& event) {
  for (const LinkResult& link : event.links) {
    if (link.peer < 0 || link.peer == event.node ||
        static_cast<size_t>(link.peer) >= nodes_.size()) {
      continue;
    }
    links_.record(now_, event.node, link);
    if (link.good || link_verdict(link.peer) == LinkVerdict::kGood) continue;
    NodeHealth& other = nodes_[static_cast<size_t>(link.peer)].health;
    const NodeHealth before = other;
    if (other.state == Health::kHealthy) doubted(other, "links: " + links_.text(now_, link.peer));
    tell_health(link.peer, before);
  }
}

LinkVerdict Scheduler::link_verdict(NodeId node) const {
  return links_.judge(now_, node, [this](NodeId other) {
    const NodeState& state = nodes_[static_cast<size_t>(other)];
    return state.up && !state.health.out();
  });
}

void Scheduler::tell_health(NodeId id, const NodeHealth& before) {
  const NodeHealth& health = nodes_[static_cast<size_t>(id)].health;
  // Most rounds find a healthy node as it was, and need no row.
  if (health != before) mark(id);
  if (health.state == before.state) return;
  note(NoteKind::kHealth, id);
  open_or_close(id);
}

void Scheduler::on(const Measured& event) {
  Job& job = change(event.job);
  if (event.rates) job.spec.rates = event.rates;
  job.work_left = event.work_left;
  dirty_ = true;
}

void Scheduler::on(const Resize& event) {
  if (!job(event.job).active()) return;
  Job& job = change(event.job);
  const int64_t before = job.need_milli();
  job.spec.min_workers = event.min_workers;
  job.spec.max_workers = event.max_workers;
  dirty_ = true;
  if (job.target.empty()) return;
  claims_.charge(job.spec.vc, job.need_milli() - before);
  with_planner([&](Planner& planner) {
    if (job.workers() > event.max_workers) {
      planner.shrink(job.id, event.max_workers, -1, Reason::kResized);
    } else if (job.workers() < event.min_workers &&
               !planner.replace(job.id, event.min_workers, Reason::kResized)) {
      planner.evict(job.id, Reason::kResized);
    }
  });
}

void Scheduler::on(const Move& event) {
  if (!job(event.job).active()) return;
  Job& job = change(event.job);
  job.spec.clusters = event.clusters;
  dirty_ = true;
  const bool stays = std::all_of(job.target.begin(), job.target.end(), [&](const Slot& slot) {
    return planned_.eligible(job.spec, slot.node);
  });
  if (stays) return;
  with_planner([&](Planner& planner) {
    if (!planner.replace(job.id, job.workers(), Reason::kMoved))
      planner.evict(job.id, Reason::kMoved);
  });
}

void Scheduler::on(const Restart& event) {
  Job& job = jobs_[static_cast<size_t>(event.job)];
  const bool live = job.state == JobState::kStarting || job.state == JobState::kRunning;
  if (!live || job.epoch != event.epoch) return;
  ++job.failures;
  job.why = {Reason::kHung, -1, now_};
  begin_stop(job, StopMode::kKill);
}

void Scheduler::on(const Enroll& event) {
  const auto id = static_cast<NodeId>(spec_.nodes.size());
  const auto [known, fresh] = node_names_.try_emplace(event.node.name, id);
  if (!fresh) {
    Node& node = spec_.nodes[static_cast<size_t>(known->second)];
    node.address = event.node.address;
    node.link_port = event.node.link_port;
    return mark(known->second);
  }
  spec_.nodes.push_back(event.node);
  nodes_.emplace_back();
  planned_.add_node();
  actual_.add_node();
  shapes_stale_ = true;
  mark(id);
}

void Scheduler::on(const Configure& event) {
  spec_.kinds = event.fleet.kinds;
  spec_.regions = event.fleet.regions;
  spec_.clusters = event.fleet.clusters;
  spec_.virtual_clusters = event.fleet.virtual_clusters;
  claims_ = Quota(spec_);
  spent_.resize(spec_.virtual_clusters.size(), 0);
  for (JobId id : active_) {
    if (!job(id).target.empty()) claims_.charge(job(id).spec.vc, job(id).need_milli());
  }
  changes_.fleet = dirty_ = shapes_stale_ = true;
}

// When a command was sent last is no part of an image: after a restart all are sent again.
void Scheduler::on(const Tick&) {
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

void Scheduler::expired(Millis now, std::vector<Event>& out) const {
  for (size_t n = 0; n < nodes_.size(); ++n) {
    const NodeState& node = nodes_[n];
    if (node.up && now >= node.lease_until)
      out.emplace_back(Lost{static_cast<NodeId>(n), node.incarnation});
  }
}

void Scheduler::on(const Lost& event) {
  // A heartbeat that came in the same turn has renewed the lease.
  const bool over = now_ >= nodes_[static_cast<size_t>(event.node)].lease_until;
  if (over && current(event.node, event.incarnation)) lose_node(event.node);
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
  links_.forget(event.node);
  // Longer than the agent's own lease by what a first answer may take.
  node.lease_until = now_ + terms_.lease_ms;
  node.up = true;
  planned_.set_present(event.node, true);
  actual_.set_present(event.node, true);
  mark(event.node);
  note(NoteKind::kNodeUp, event.node);
  dirty_ = true;
}

void Scheduler::on(const Heartbeat& event) {
  NodeState& node = nodes_[static_cast<size_t>(event.node)];
  if (!current(event.node, event.incarnation)) {
    out_->emplace_back(Rejoin{event.node, event.incarnation, node.incarnation});
    return;
  }
  // It arrives after it was sent, so this lease ends no earlier than the agent's.
  node.lease_until = now_ + terms_.lease_ms;
  out_->emplace_back(Lease{event.node, event.incarnation, event.sent_at});
}

void Scheduler::on(const Started& event) {
  if (!current(event.node, event.incarnation)) return;
  const Job& told = jobs_[static_cast<size_t>(event.job)];
  const auto known = told.parts.find(event.node);
  if (told.epoch != event.epoch || known == told.parts.end()) return;
  if (known->second.state != PartState::kStarting) return;
  Job& job = change(event.job);
  job.parts.at(event.node).state = PartState::kRunning;
  const bool all = std::all_of(job.parts.begin(), job.parts.end(), [](const auto& entry) {
    return entry.second.state == PartState::kRunning;
  });
  if (!all || job.state != JobState::kStarting) return;
  unsettled_.erase(job.id);
  job.state = JobState::kRunning;
  job.changed_at = now_;
  if (job.first_run_at < 0) job.first_run_at = now_;
  note(NoteKind::kRunning, job);
}

void Scheduler::on(const Imaged& event) {
  if (!current(event.node, event.incarnation)) return;
  const Job& told = jobs_[static_cast<size_t>(event.job)];
  if (told.epoch != event.epoch || !told.parts.contains(event.node)) return;
  if (is_newer(event.image, told.image)) change(event.job).image = event.image;
}

void Scheduler::on(const Ended& event) {
  if (!current(event.node, event.incarnation)) return;
  out_->emplace_back(Acknowledge{event.node, event.incarnation, event.job, event.epoch});
  Job& job = jobs_[static_cast<size_t>(event.job)];
  const auto part = job.parts.find(event.node);
  if (job.epoch != event.epoch || part == job.parts.end()) return;
  if (part->second.state == PartState::kEnded) return;
  if (is_newer(event.image, job.image)) job.image = event.image;
  end_part(job, event.node, event.outcome);
  const bool by_itself = event.outcome == Outcome::kSucceeded;
  // One worker group that failed or vanished ends the gang; those that succeeded are waited for.
  if (!by_itself && job.state != JobState::kStopping) begin_stop(job, StopMode::kCheckpoint);
  settle(job);
}

void Scheduler::lose_node(NodeId id) {
  NodeState& node = nodes_[static_cast<size_t>(id)];
  node.up = false;
  trouble(node.health, now_, health_terms_);
  mark(id);
  note(NoteKind::kNodeLost, id);
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
  change(job.id);
  note(NoteKind::kEnded, job, node, outcome);
  Part& part = job.parts.at(node);
  part.state = PartState::kEnded;
  part.outcome = outcome;
  nodes_[static_cast<size_t>(node)].jobs.erase(job.id);
  actual_.release(on_node(job.placed, node));
}

void Scheduler::drop_target(Job& job) {
  change(job.id);
  planned_.release(job.target);
  if (!job.target.empty()) claims_.charge(job.spec.vc, -job.need_milli());
  job.target.clear();
  waiting_.erase(job.id);
}

void Scheduler::account(Job& job) {
  job.ran_ms = job.ran_until(now_);
  const Millis before = job.device_ms;
  job.device_ms = job.device_until(now_);
  spent_[static_cast<size_t>(job.spec.vc)] += job.device_ms - before;
  job.changed_at = now_;
}

void Scheduler::begin_stop(Job& job, StopMode mode) {
  change(job.id);
  account(job);
  job.state = JobState::kStopping;
  job.stop_mode = mode;
  note(NoteKind::kStopping, job);
  unsettled_.insert(job.id);
  for (auto& [node, part] : job.parts) {
    if (part.state == PartState::kEnded) continue;
    part.state = PartState::kStopping;
    send_stop(job, node);
  }
}

void Scheduler::send_stop(Job& job, NodeId node) {
  job.parts.at(node).sent_at = now_;
  out_->emplace_back(
      Stop{node, nodes_[static_cast<size_t>(node)].incarnation, job.id, job.epoch, job.stop_mode});
}

void Scheduler::send_start(Job& job, NodeId node) {
  job.parts.at(node).sent_at = now_;
  const auto first = std::find_if(job.placed.begin(), job.placed.end(),
                                  [&](const Slot& slot) { return slot.node == node; });
  out_->emplace_back(Start{
      node, nodes_[static_cast<size_t>(node)].incarnation, job.id, job.epoch,
      on_node(job.placed, node), static_cast<int32_t>(first - job.placed.begin()),
      static_cast<int32_t>(job.placed.size()),
      spec_.nodes[static_cast<size_t>(job.placed[0].node)].address, job.spec.program, job.image});
}

void Scheduler::launch(Job& job) {
  change(job.id);
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
    note(NoteKind::kStarted, job, node);
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
  change(job.id);
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
  note(NoteKind::kQueued, job);
  if (!job.target.empty()) waiting_.insert(job.id);
}

void Scheduler::finish(Job& job, JobState state) {
  drop_target(job);
  drop_active(active_, job.id);
  watched_.erase(job.id);
  job.state = state;
  note(NoteKind::kOver, job);
}

void Scheduler::reconcile(JobId id) {
  Job& job = jobs_[static_cast<size_t>(id)];
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

void Scheduler::refresh_roster() {
  if (shapes_stale_ || roster_.too_many_shapes()) {
    roster_.forget_shapes();
    stale_ = active_;
  }
  for (JobId id : stale_) roster_.refresh(job(id));
  stale_.clear();
  shapes_stale_ = false;
}

// Lets `work` move targets, and makes them come true.
void Scheduler::with_planner(const std::function<void(Planner&)>& work) {
  std::vector<JobId> touched;
  refresh_roster();
  const bool all = std::find(used_up_.begin(), used_up_.end(), true) == used_up_.end();
  affordable_ = all ? std::vector<JobId>{} : active_;
  std::erase_if(affordable_, [&](JobId id) { return budget_used_up(job(id).spec.vc); });
  const std::vector<JobId>& active = all ? active_ : affordable_;
  Planner planner(now_, {jobs_, active, planned_, claims_, roster_, touched});
  work(planner);
  std::sort(touched.begin(), touched.end());
  touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
  changes_.jobs.insert(changes_.jobs.end(), touched.begin(), touched.end());
  // Stops before starts: what they give back may be what the others wait for.
  for (JobId id : touched) reconcile(id);
}

void Scheduler::place_arrivals() {
  if (arrivals_.empty()) return;
  with_planner([&](Planner& planner) {
    for (JobId id : arrivals_) {
      // A newcomer may have been cancelled in the same turn.
      if (!job(id).active() || !job(id).target.empty()) continue;
      if (budget_used_up(job(id).spec.vc)) continue;
      dirty_ = dirty_ || !policy_->arrive || !policy_->arrive(planner, id);
    }
  });
  arrivals_.clear();
}

void Scheduler::plan() {
  dirty_ = false;
  arrivals_.clear();
  planned_at_ = now_;
  with_planner(policy_->plan);
}

}  // namespace hearth::forge
