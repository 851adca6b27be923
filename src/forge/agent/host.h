// An agent's brain and hands together. Virtual or real time, network and processes: all the same to
// it. One thread.
#pragma once

#include <functional>
#include <vector>

#include "forge/agent/executor.h"

namespace hearth::forge {

class AgentHost {
 public:
  // `fresh`: the incarnation when nothing is left of an earlier one; above any that this node ever
  // had.
  AgentHost(NodeId node, Incarnation fresh, Executor& hands, LeaseTerms terms);

  void receive(Millis now, const Command& command);
  // To be called often.
  void advance(Millis now);
  // What to tell the server since the last call.
  std::vector<Event> take_events();

  const Agent& agent() const { return agent_; }

 private:
  static Agent make_agent(NodeId node, Incarnation fresh, Executor& hands, LeaseTerms terms);
  void carry_out(AgentOutput output);

  Executor& hands_;
  Agent agent_;
  Incarnation begun_ = 0;
  std::vector<Event> events_;
};

}  // namespace hearth::forge
