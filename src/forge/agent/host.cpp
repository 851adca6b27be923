#include "forge/agent/host.h"

#include <utility>

namespace hearth::forge {

Agent AgentHost::make_agent(NodeId node, Incarnation fresh, Executor& hands, LeaseTerms terms) {
  Recovered left = hands.recover();
  if (left.incarnation > 0) return {node, left.incarnation, terms, std::move(left.memory)};
  hands.begin(fresh);
  return {node, fresh, terms};
}

AgentHost::AgentHost(NodeId node, Incarnation fresh, Executor& hands, LeaseTerms terms)
    : hands_(hands), agent_(make_agent(node, fresh, hands, terms)), begun_(agent_.incarnation()) {}

void AgentHost::receive(Millis now, const Command& command) {
  AgentOutput out;
  agent_.receive(now, command, out);
  carry_out(std::move(out));
}

void AgentHost::advance(Millis now) {
  for (const Exit& exit : hands_.poll(now)) {
    AgentOutput out;
    agent_.exited(exit.job, exit.epoch, exit.outcome, exit.image, out);
    carry_out(std::move(out));
  }
  for (const NewImage& made : hands_.take_images()) {
    AgentOutput out;
    agent_.imaged(made.job, made.image, out);
    carry_out(std::move(out));
  }
  AgentOutput out;
  agent_.advance(now, out);
  carry_out(std::move(out));
}

void AgentHost::carry_out(AgentOutput output) {
  if (agent_.incarnation() != begun_) {
    begun_ = agent_.incarnation();
    hands_.begin(begun_);
  }
  // Before anything starts: whoever starts must know when to stop.
  hands_.set_fence(agent_.fence_at());
  for (const Action& action : output.actions) {
    if (const auto* start = std::get_if<Start>(&action)) {
      hands_.start(*start);
    } else if (const auto* halt = std::get_if<Halt>(&action)) {
      hands_.halt(halt->job, halt->epoch, halt->mode);
    } else if (const auto* bury = std::get_if<Bury>(&action)) {
      hands_.bury(bury->job, bury->epoch);
    }
  }
  events_.insert(events_.end(), output.events.begin(), output.events.end());
}

std::vector<Event> AgentHost::take_events() { return std::exchange(events_, {}); }

}  // namespace hearth::forge
