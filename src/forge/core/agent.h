// The brain of a node's agent, as pure as the scheduler's: commands, exits and time in; messages
// and actions for the hands out. It owns the rule that makes a job run at most once: per job it
// remembers the highest epoch it has seen the end of and never starts one that is not above it;
// workers count as ended only when the hands say that they are dead; without a lease it kills
// everything and is somebody new afterwards. Owned by one thread.
#pragma once

#include <map>
#include <vector>

#include "forge/core/messages.h"

namespace hearth::forge {

// --- what the hands are to do; a Start is to be carried out as it stands ---
struct Halt {
  JobId job = 0;
  Epoch epoch = 0;
  StopMode mode = StopMode::kCheckpoint;
};
// Never start this epoch, whatever comes: it was stopped before its start arrived.
struct Bury {
  JobId job = 0;
  Epoch epoch = 0;
};
using Action = std::variant<Start, Halt, Bury>;

struct AgentOutput {
  std::vector<Event> events;
  std::vector<Action> actions;
};

// What an incarnation has to know of its past.
struct AgentMemory {
  struct Work {
    Epoch epoch = 0;
    Placement slots;
    bool stopping = false;
    StopMode mode = StopMode::kCheckpoint;
    ImageRef image = {};  // the last of this epoch
  };
  struct End {
    Epoch epoch = 0;
    Outcome outcome = Outcome::kKilled;
    bool acknowledged = false;
    ImageRef image = {};
  };
  std::map<JobId, Work> running;  // and not yet dead
  std::map<JobId, End> ends;
  Millis fence_at = 0;  // what runs must be dead by then; 0: no lease
};

class Agent {
 public:
  // `memory` is that of the same incarnation, when the program was restarted.
  Agent(NodeId node, Incarnation incarnation, LeaseTerms terms, AgentMemory memory = {})
      : node_(node), incarnation_(incarnation), terms_(terms), memory_(std::move(memory)) {}

  void receive(Millis now, const Command& command, AgentOutput& out);
  // To be called often: heartbeats, repeats, and the lease.
  void advance(Millis now, AgentOutput& out);
  // All workers of an epoch are dead. `image`: the last one made of them.
  void exited(JobId job, Epoch epoch, Outcome outcome, const ImageRef& image, AgentOutput& out);
  // One more image of a running epoch is on disk.
  void imaged(JobId job, const ImageRef& image, AgentOutput& out);

  const std::map<JobId, AgentMemory::Work>& running() const { return memory_.running; }
  Incarnation incarnation() const { return incarnation_; }
  // For those who outlive this program.
  Millis fence_at() const { return memory_.fence_at; }

 private:
  // A lease came: the scheduler knows this incarnation.
  bool joined() const { return memory_.fence_at > 0; }
  void start(const Start& command, AgentOutput& out);
  void stop(const Stop& command, AgentOutput& out);
  void leave(AgentOutput& out);
  void begin_again(Millis now);
  void halt(JobId job, AgentMemory::Work& work, StopMode mode, AgentOutput& out);
  void end(JobId job, Epoch epoch, Outcome outcome, const ImageRef& image, AgentOutput& out);
  Event ended(JobId job, const AgentMemory::End& end) const;

  NodeId node_;
  Incarnation incarnation_;
  LeaseTerms terms_;
  AgentMemory memory_;
  bool leaving_ = false;   // this incarnation is given up and waits for its workers to die
  Incarnation above_ = 0;  // the scheduler knows one of this node as new as this
  Millis rest_ms_ = 0;
  Millis next_beat_ = 0;
};

}  // namespace hearth::forge
