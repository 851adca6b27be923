// The core of Forge: events in, commands out. No clock, no threads, no randomness: the same events
// give the same state. What must survive is an Image; a restart makes a scheduler from it.
//
// Two pictures of the fleet: `planned` follows the jobs' targets, `actual` follows what agents may
// still be running. A job starts when its target is free in both. Devices come back only when the
// agent has said that its workers are dead, or when its lease has run out, by which time it has
// killed them itself. Each start has a new epoch; words about another epoch are void.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "forge/core/image.h"
#include "forge/core/policy.h"

namespace hearth::forge {

class Scheduler {
 public:
  Scheduler(FleetSpec spec, const Policy& policy, LeaseTerms terms = {});
  // From what a store kept. Every node that was up has a whole lease from `now` on: no shorter than
  // what its agent was given.
  Scheduler(Image image, Millis now, const Policy& policy, LeaseTerms terms = {});
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Throws Error when the event cannot be taken: it names what does not exist.
  void check(const Event& event) const;
  // Takes events that check() would take, plans once, and appends what to send. Time never goes
  // back.
  void apply(Millis now, std::span<const Event> events, std::vector<Command>& out);
  void apply(Millis now, const Event& event, std::vector<Command>& out);
  // Of the last apply().
  const Changes& changes() const { return changes_; }
  // Nodes whose lease is over, as events to be applied.
  void expired(Millis now, std::vector<Event>& out) const;

  const std::vector<Job>& jobs() const { return jobs_; }
  const std::vector<JobId>& active() const { return active_; }  // not over nor cancelled
  const Job& job(JobId id) const;
  const FleetSpec& spec() const { return spec_; }
  NodeImage node_image(NodeId node) const;
  NodeId node_named(std::string_view name) const;  // -1: none
  JobId job_keyed(const std::string& key) const;   // -1: none
  const std::set<JobId>& jobs_on(NodeId node) const;
  // Of the virtual cluster or of one above it: its jobs wait until somebody raises it.
  bool budget_used_up(VcId vc) const;
  // Device time of all jobs of the subtree.
  Millis device_time(VcId vc) const;
  const Fleet& actual() const { return actual_; }
  const Fleet& planned() const { return planned_; }
  const Policy& policy() const { return *policy_; }
  const HealthTerms& health_terms() const { return health_terms_; }
  Millis now() const { return now_; }
  // Of everything that an image keeps.
  uint64_t fingerprint() const;

 private:
  struct NodeState {
    Incarnation incarnation = 0;  // 0: never joined
    Millis lease_until = 0;
    bool up = false;
    bool drained = false;  // by a person
    NodeHealth health;
    std::set<JobId> jobs;  // with a part here that has not ended
  };

  void on(const Submit& event);
  void on(const Cancel& event);
  void on(const Drain& event);
  void on(const Undrain& event);
  void on(const Measured& event);
  void on(const Resize& event);
  void on(const Move& event);
  void on(const Enroll& event);
  void on(const Configure& event);
  void on(const Tick& event);
  void on(const Lost& event);
  void on(const Joined& event);
  void on(const Heartbeat& event);
  void on(const Started& event);
  void on(const Ended& event);
  void on(const Imaged& event);
  void on(const Checked& event);
  void on(const Restart& event);
  void on(const Scale& event) { scales_.push_back(event); }

  void submit(const JobSpec& spec);
  void scale(const Scale& event);
  void give_up(JobId id, StopMode mode);
  void watch();
  void watch_budgets();
  Job& change(JobId id);
  void mark(NodeId node) { changes_.nodes.push_back(node); }
  void note(NoteKind kind, const Job& job, NodeId node = -1, Outcome outcome = Outcome::kKilled);
  void note(NoteKind kind, NodeId node);
  bool current(NodeId node, Incarnation incarnation) const;
  void lose_node(NodeId node);
  void open_or_close(NodeId node);
  bool may_take_out_one_more() const;
  void learn_links(const Checked& event);
  LinkVerdict link_verdict(NodeId node) const;
  void tell_health(NodeId id, const NodeHealth& before);
  void end_part(Job& job, NodeId node, Outcome outcome);
  void begin_stop(Job& job, StopMode mode);
  void send_start(Job& job, NodeId node);
  void send_stop(Job& job, NodeId node);
  void launch(Job& job);
  void settle(Job& job);
  void finish(Job& job, JobState state);
  void drop_target(Job& job);
  void account(Job& job);
  void reconcile(JobId id);
  void refresh_roster();
  void with_planner(const std::function<void(Planner&)>& work);
  void place_arrivals();
  void plan();

  FleetSpec spec_;
  const Policy* policy_;
  LeaseTerms terms_;
  HealthTerms health_terms_;
  LinkBook links_;
  Millis now_ = 0;
  Millis planned_at_ = 0;
  bool dirty_ = false;
  std::vector<JobId> arrivals_;  // since the last plan
  Fleet planned_;
  Fleet actual_;
  Quota claims_;  // of the jobs that have a target
  Roster roster_;
  std::vector<JobId> stale_;  // changed since the roster was last made to follow
  bool shapes_stale_ = false;
  std::vector<Scale> scales_;      // of this turn, after everything else in it
  std::set<JobId> watched_;        // active, with a deadline or a budget
  std::vector<Millis> spent_;      // device time, by virtual cluster, of epochs that are over
  std::vector<bool> used_up_;      // budgets of virtual clusters
  std::vector<JobId> affordable_;  // active, and no such budget stands against them
  std::vector<NodeState> nodes_;
  std::map<std::string, NodeId, std::less<>> node_names_;
  std::vector<Job> jobs_;
  std::unordered_map<std::string, JobId> keys_;
  std::vector<JobId> active_;  // ascending
  std::set<JobId> waiting_;    // have a target and are not started
  std::set<JobId> unsettled_;  // await an agent's word
  Changes changes_;
  std::vector<Command>* out_ = nullptr;
};

}  // namespace hearth::forge
