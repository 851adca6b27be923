// The core of Forge: events in, commands out. No clock, no threads, no randomness: the same events
// give the same state, so a restart is a replay of the journal of events.
//
// Two pictures of the fleet: `planned` follows the jobs' targets, `actual` follows what agents may
// still be running. A job starts when its target is free in both. Devices come back only when the
// agent has said that its workers are dead, or when its lease has run out, by which time it has
// killed them itself. Each start has a new epoch; words about another epoch are void.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "forge/core/policy.h"

namespace hearth::forge {

class Scheduler {
 public:
  Scheduler(FleetSpec spec, const Policy& policy, LeaseTerms terms = {});
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Takes one event and appends what to send. Time never goes back.
  void apply(Millis now, const Event& event, std::vector<Command>& out);

  const std::vector<Job>& jobs() const { return jobs_; }
  const Job& job(JobId id) const;
  const FleetSpec& spec() const { return spec_; }
  const Fleet& actual() const { return actual_; }
  const Fleet& planned() const { return planned_; }
  const Policy& policy() const { return *policy_; }
  Millis now() const { return now_; }
  // Of the whole state: two schedulers with equal prints behave the same from here on.
  uint64_t fingerprint() const;

 private:
  struct NodeState {
    Incarnation incarnation = 0;  // 0: never joined
    Millis lease_until = 0;
    bool up = false;
    std::set<JobId> jobs;  // with a part here that has not ended
  };

  void on(const Submit& event);
  void on(const Cancel& event);
  void on(const Drain& event);
  void on(const Undrain& event);
  void on(const Measured& event);
  void on(const Tick& event);
  void on(const Joined& event);
  void on(const Heartbeat& event);
  void on(const Started& event);
  void on(const Ended& event);

  bool current(NodeId node, Incarnation incarnation) const;
  void lose_node(NodeId node);
  void end_part(Job& job, NodeId node, Outcome outcome);
  void begin_stop(Job& job, StopMode mode);
  void send_start(Job& job, NodeId node);
  void send_stop(Job& job, NodeId node);
  void launch(Job& job);
  void settle(Job& job);
  void finish(Job& job, JobState state);
  void drop_target(Job& job);
  void account(Job& job);
  void reconcile(Job& job);
  void plan();

  FleetSpec spec_;
  const Policy* policy_;
  LeaseTerms terms_;
  Millis now_ = 0;
  Millis planned_at_ = 0;
  bool dirty_ = false;
  Fleet planned_;
  Fleet actual_;
  std::vector<NodeState> nodes_;
  std::vector<Job> jobs_;
  std::vector<JobId> active_;
  std::set<JobId> waiting_;    // have a target and are not started
  std::set<JobId> unsettled_;  // await an agent's word
  std::vector<Command>* out_ = nullptr;
};

}  // namespace hearth::forge
