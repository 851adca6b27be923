// The brain of a node's agent, as pure as the scheduler's: commands and time in, messages out. It
// owns the rule that makes a job run at most once: per job it remembers the highest epoch it has
// seen the end of and never starts one that is not above it; without a lease it kills everything.
// Owned by one thread.
#pragma once

#include <map>
#include <vector>

#include "forge/core/messages.h"

namespace hearth::forge {

class Agent {
 public:
  Agent(NodeId node, Incarnation incarnation, LeaseTerms terms)
      : node_(node), incarnation_(incarnation), terms_(terms) {}

  struct Work {
    Epoch epoch = 0;
    Placement slots;
  };

  // Carries out `command` and appends what to tell the scheduler.
  void receive(Millis now, const Command& command, std::vector<Event>& out);
  // To be called often: heartbeats, repeats, and the lease.
  void advance(Millis now, std::vector<Event>& out);
  // The workers of a job ended by themselves.
  void exited(JobId job, Outcome outcome, std::vector<Event>& out);

  // What runs now, by job.
  const std::map<JobId, Work>& running() const { return running_; }
  Incarnation incarnation() const { return incarnation_; }

 private:
  struct End {
    Epoch epoch = 0;
    Outcome outcome = Outcome::kKilled;
    bool acknowledged = false;
  };

  void start(const Start& command, std::vector<Event>& out);
  void stop(const Stop& command, std::vector<Event>& out);
  void rejoin(Millis now);
  void end(JobId job, Epoch epoch, Outcome outcome, std::vector<Event>& out);
  Event ended(JobId job, const End& end) const;

  NodeId node_;
  Incarnation incarnation_;
  LeaseTerms terms_;
  bool joined_ = false;  // a lease came: the scheduler knows this incarnation
  Millis lease_until_ = 0;
  Millis next_beat_ = 0;
  std::map<JobId, Work> running_;
  std::map<JobId, End> ends_;
};

}  // namespace hearth::forge
