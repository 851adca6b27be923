#include "forge/agent/host.h"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <utility>

#include "base/error.h"

namespace hearth::forge {
namespace {

constexpr Millis kStartAgainMs = 1'000;

}  // namespace

Agent AgentHost::make_agent(NodeId node, Incarnation fresh, Executor& hands, LeaseTerms terms) {
  Recovered left = hands.recover();
  if (left.incarnation > 0) return {node, left.incarnation, terms, std::move(left.memory)};
  hands.begin(fresh);
  return {node, fresh, terms};
}

AgentHost::AgentHost(NodeId node, Incarnation fresh, Executor& hands, LeaseTerms terms)
    : hands_(hands),
      terms_(terms),
      agent_(make_agent(node, fresh, hands, terms)),
      begun_(agent_.incarnation()) {}

void AgentHost::receive(Millis now, const Command& command) {
  AgentOutput out;
  agent_.receive(now, command, out);
  carry_out(now, std::move(out));
}

void AgentHost::advance(Millis now) {
  for (const Exit& exit : hands_.poll(now)) {
    AgentOutput out;
    agent_.exited(exit.job, exit.epoch, exit.outcome, exit.image, out);
    carry_out(now, std::move(out));
  }
  for (const NewImage& made : hands_.take_images()) {
    AgentOutput out;
    agent_.imaged(made.job, made.image, out);
    carry_out(now, std::move(out));
  }
  AgentOutput out;
  agent_.advance(now, out);
  carry_out(now, std::move(out));
  start_again(now);
}

void AgentHost::carry_out(Millis now, AgentOutput output) {
  // Nobody hears of a life before it is written down.
  if (!begin()) return;
  // Before anything starts: whoever starts must know when to stop.
  hands_.set_fence(agent_.fence_at());
  for (const Action& action : output.actions) {
    if (const auto* order = std::get_if<Start>(&action)) {
      start(now, *order);
    } else if (const auto* halt = std::get_if<Halt>(&action)) {
      const auto found = unstarted_.find(halt->job);
      if (found == unstarted_.end()) {
        hands_.halt(halt->job, halt->epoch, halt->mode);
      } else {
        give_back(now, Start(found->second.order));
      }
    } else if (const auto* bury = std::get_if<Bury>(&action)) {
      hands_.bury(bury->job, bury->epoch);
    }
  }
  // Who is told that a run has started does not say the order again, should this program die.
  std::copy_if(output.events.begin(), output.events.end(), std::back_inserter(events_),
               [this](const Event& event) {
                 const auto* started = std::get_if<Started>(&event);
                 return !started || !unstarted_.contains(started->job);
               });
}

bool AgentHost::begin() {
  if (agent_.incarnation() == begun_) return true;
  try {
    hands_.begin(agent_.incarnation());
  } catch (const Error& error) {
    if (trouble_ != error.what())
      words_.push_back(fmt::format("the node cannot begin anew: {}", error.what()));
    trouble_ = error.what();
    return false;
  }
  begun_ = agent_.incarnation();
  trouble_.clear();
  return true;
}

void AgentHost::start(Millis now, const Start& order) {
  try {
    hands_.start(order);
  } catch (const Error& error) {
    words_.push_back(fmt::format("a run cannot start yet job={} epoch={} reason=\"{}\"", order.job,
                                 order.epoch, error.what()));
    unstarted_[order.job] = {order, now, now + kStartAgainMs};
  }
}

// After a lease of vain tries somebody else has it.
void AgentHost::start_again(Millis now) {
  for (auto next = unstarted_.begin(); next != unstarted_.end();) {
    Unstarted& tried = (next++)->second;
    if (now < tried.again_at) continue;
    tried.again_at = now + kStartAgainMs;
    const Start order = tried.order;
    if (now >= tried.since + terms_.lease_ms) {
      give_back(now, order);
      continue;
    }
    try {
      hands_.start(order);
    } catch (const Error&) {
      continue;
    }
    words_.push_back(fmt::format("a run starts after all job={} epoch={}", order.job, order.epoch));
    unstarted_.erase(order.job);
    events_.emplace_back(Started{order.node, order.incarnation, order.job, order.epoch});
  }
}

void AgentHost::give_back(Millis now, const Start& order) {
  unstarted_.erase(order.job);
  hands_.bury(order.job, order.epoch);
  AgentOutput out;
  agent_.exited(order.job, order.epoch, Outcome::kKilled, {}, out);
  carry_out(now, std::move(out));
}

std::vector<Event> AgentHost::take_events() { return std::exchange(events_, {}); }

std::vector<std::string> AgentHost::take_words() { return std::exchange(words_, {}); }

}  // namespace hearth::forge
