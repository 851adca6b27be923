// An agent's brain and hands together. Virtual or real time, network and processes: all the same to
// it. A disk that takes nothing more ends neither it nor what runs: what cannot be written down
// does not begin, and is tried again. One thread.
#pragma once

#include <functional>
#include <map>
#include <string>
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
  // What to tell whoever reads this program's log.
  std::vector<std::string> take_words();

  const Agent& agent() const { return agent_; }

 private:
  static Agent make_agent(NodeId node, Incarnation fresh, Executor& hands, LeaseTerms terms);
  // An order that the hands could not take.
  struct Unstarted {
    Start order;
    Millis since = 0;
    Millis again_at = 0;
  };

  void carry_out(Millis now, AgentOutput output);
  bool begin();
  void start(Millis now, const Start& order);
  void start_again(Millis now);
  void give_back(Millis now, const Start& order);

  Executor& hands_;
  LeaseTerms terms_;
  Agent agent_;
  Incarnation begun_ = 0;
  std::string trouble_;  // with the beginning of a life; said once
  std::vector<std::string> words_;
  std::map<JobId, Unstarted> unstarted_;
  std::vector<Event> events_;
};

}  // namespace hearth::forge
