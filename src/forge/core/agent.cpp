#include "forge/core/agent.h"

#include <algorithm>

namespace hearth::forge {

void Agent::receive(Millis now, const Command& command, AgentOutput& out) {
  const Incarnation meant = std::visit([](const auto& c) { return c.incarnation; }, command);
  if (meant != incarnation_ || leaving_) return;
  if (const auto* start_command = std::get_if<Start>(&command)) {
    start(*start_command, out);
  } else if (const auto* stop_command = std::get_if<Stop>(&command)) {
    stop(*stop_command, out);
  } else if (const auto* ack = std::get_if<Acknowledge>(&command)) {
    const auto found = memory_.ends.find(ack->job);
    if (found != memory_.ends.end() && found->second.epoch == ack->epoch)
      found->second.acknowledged = true;
  } else if (const auto* lease = std::get_if<Lease>(&command)) {
    memory_.fence_at =
        std::max(memory_.fence_at, lease->sent_at + terms_.lease_ms - terms_.fence_ms);
  } else {
    above_ = std::get<Rejoin>(command).above;
    leave(out);
    advance(now, out);
  }
}

void Agent::start(const Start& command, AgentOutput& out) {
  // Without a lease nobody would notice that this node went silent.
  if (!joined()) return;
  const auto past = memory_.ends.find(command.job);
  if (past != memory_.ends.end() && past->second.epoch >= command.epoch) {
    out.events.emplace_back(ended(command.job, past->second));
    return;
  }
  const auto [work, fresh] =
      memory_.running.try_emplace(command.job, AgentMemory::Work{command.epoch, command.slots});
  // An older epoch still here: the scheduler starts a new one only after it knows the old one's
  // end, so this is a late command.
  if (!fresh && work->second.epoch != command.epoch) return;
  if (fresh) out.actions.emplace_back(command);
  out.events.emplace_back(Started{node_, incarnation_, command.job, command.epoch});
}

void Agent::stop(const Stop& command, AgentOutput& out) {
  const auto past = memory_.ends.find(command.job);
  if (past != memory_.ends.end() && past->second.epoch >= command.epoch) {
    if (past->second.epoch == command.epoch)
      out.events.emplace_back(ended(command.job, past->second));
    return;
  }
  const auto work = memory_.running.find(command.job);
  if (work == memory_.running.end()) {
    // Remembered even when its Start never came: that Start may still be under way.
    out.actions.emplace_back(Bury{command.job, command.epoch});
    end(command.job, command.epoch, Outcome::kKilled, {}, out);
  } else if (work->second.epoch == command.epoch) {
    halt(command.job, work->second, command.mode, out);
  }
}

void Agent::halt(JobId job, AgentMemory::Work& work, StopMode mode, AgentOutput& out) {
  if (work.stopping && (work.mode == mode || work.mode == StopMode::kKill)) return;
  work.stopping = true;
  work.mode = mode;
  out.actions.emplace_back(Halt{job, work.epoch, mode});
}

void Agent::exited(JobId job, Epoch epoch, Outcome outcome, const ImageRef& image,
                   AgentOutput& out) {
  const auto work = memory_.running.find(job);
  if (work != memory_.running.end() && work->second.epoch == epoch)
    end(job, epoch, outcome, image, out);
}

void Agent::imaged(JobId job, const ImageRef& image, AgentOutput& out) {
  const auto work = memory_.running.find(job);
  if (work == memory_.running.end() || work->second.epoch != image.epoch) return;
  work->second.image = image;
  out.events.emplace_back(Imaged{node_, incarnation_, job, image.epoch, image});
}

void Agent::end(JobId job, Epoch epoch, Outcome outcome, const ImageRef& image, AgentOutput& out) {
  memory_.running.erase(job);
  memory_.ends[job] = {epoch, outcome, false, image};
  out.events.emplace_back(ended(job, memory_.ends[job]));
}

Event Agent::ended(JobId job, const AgentMemory::End& end) const {
  return Ended{node_, incarnation_, job, end.epoch, end.outcome, end.image};
}

void Agent::advance(Millis now, AgentOutput& out) {
  if (joined() && now >= fence_at()) leave(out);
  if (leaving_) {
    if (!memory_.running.empty()) return;
    begin_again(now);
  }
  if (now < next_beat_) return;
  next_beat_ = now + terms_.heartbeat_ms;
  // Who remembers anything is no newcomer: a scheduler that does not know it says so.
  if (!joined() && memory_.running.empty() && memory_.ends.empty())
    out.events.emplace_back(Joined{node_, incarnation_});
  out.events.emplace_back(Heartbeat{node_, incarnation_, now});
  for (const auto& [job, work] : memory_.running) {
    if (work.image.exists())
      out.events.emplace_back(Imaged{node_, incarnation_, job, work.epoch, work.image});
  }
  for (const auto& [job, end] : memory_.ends) {
    if (!end.acknowledged) out.events.emplace_back(ended(job, end));
  }
}

void Agent::leave(AgentOutput& out) {
  if (leaving_) return;
  leaving_ = true;
  // Who was never let in does not knock faster for it.
  rest_ms_ = joined() ? 0 : terms_.heartbeat_ms;
  memory_.fence_at = 0;
  for (auto& [job, work] : memory_.running) halt(job, work, StopMode::kKill, out);
}

void Agent::begin_again(Millis now) {
  memory_ = {};
  leaving_ = false;
  incarnation_ = std::max(incarnation_, above_) + 1;
  next_beat_ = now + rest_ms_;
}

}  // namespace hearth::forge
